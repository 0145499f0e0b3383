// tests/vectors/payloads.txt: frames of section 7 as the second implementation (frames.py) writes
// them, such as it refuses, and changed ones with its verdict: first byte 1, taken.
#include "vectors/vectors.h"
#include "wire/message_frames.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace qudag::wire {
namespace {

using test::hex;

/// The frames of a payload written again; nothing if it is refused.
std::optional<std::string> written_again(Bytes payload) {
  std::vector<std::byte> room(2 * payload.size() + kDataHeaderBytesMax);
  ByteWriter out(room);
  FrameReader frames(payload);
  Frame frame;
  while (frames.read(frame)) append(out, frame);
  if (frames.malformed()) return std::nullopt;
  return hex(Bytes(room).first(out.written()));
}

TEST(Payloads, BothImplementationsTakeAndWriteTheSame) {
  const test::Vectors vectors(QUDAG_TEST_DATA "/../vectors/payloads.txt");
  std::size_t good = 0;
  std::size_t bad = 0;
  for (const std::string& name : vectors.names()) {
    auto payload = vectors.bytes(name);
    bool taken = !name.starts_with("bad_");
    const bool changed = name.starts_with("changed_");
    if (changed) {
      taken = payload.at(0) == std::byte{1};
      payload.erase(payload.begin());
    }
    const auto again = written_again(payload);
    EXPECT_EQ(again.has_value(), taken) << name;
    ++(taken ? good : bad);
    // A change may make padding of the rest, which is not written again.
    if (again && !changed && !name.starts_with("padding_")) {
      EXPECT_EQ(*again, hex(payload)) << name;
    }
  }
  EXPECT_GT(good, 100u);
  EXPECT_GT(bad, 100u);
}

}  // namespace
}  // namespace qudag::wire
