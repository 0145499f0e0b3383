// Arbitrary bytes and changed good builds into accept_build().
// modules: onion
//
// Byte 0 chooses: even, the rest (repeated) is the message; odd, the rest is a list of changes
// (offset u16, xor u8) to a build that is good for the hop. Also record bytes alone, behind a tag
// that verifies: what only a source with valid keys could send.
#include "base/assert.h"
#include "onion/key_schedule.h"
#include "onion/layers.h"
#include "onion/record.h"
#include "onion/support_fuzz.h"

#include <cstring>

using namespace qudag;
using namespace qudag::onion;
using fuzz::World;

namespace {

void repeated(Bytes in, MutableBytes out) {
  for (std::size_t i = 0; i < out.size() && !in.empty(); ++i) out[i] = in[i % in.size()];
}

// A build whose record is the input, sealed as a source would.
void sealed_record(const World& world, Bytes in, BuildMessage& message) {
  message = world.build;
  const MutableBytes record =
      MutableBytes(message).subspan(kBuildShape.header, limits::kBuildRecordBytes);
  std::memcpy(record.data(), world.record.data(), record.size());
  ByteReader r(in);
  while (r.remaining() >= 3) {
    const std::size_t at = r.u16() % record.size();
    record[at] ^= std::byte{r.u8()};
  }
  crypto::Aead(derive_build_keys(world.ss1).build_key)
      .seal({}, {}, MutableBytes(message).subspan(kBuildShape.header),
            std::span<std::byte, 16>(message.data() + limits::kKemCiphertextBytes, 16));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const Bytes in = std::as_bytes(std::span(data + 1, size - 1));
  BuildMessage message{};
  bool changed = true;
  switch (data[0] % 3) {
    case 0:
      repeated(in, message);
      break;
    case 1: {
      message = world.build;
      ByteReader r(in);
      while (r.remaining() >= 3) {
        const std::size_t at = r.u16() % message.size();
        message[at] ^= std::byte{r.u8()};
      }
      changed = message != world.build;
      break;
    }
    default:
      sealed_record(world, in, message);
      break;
  }
  ReplayWindow window;
  const auto accepted =
      accept_build(world.id, {&world.onion_key, 1}, window, Priority::normal, fuzz::kNow, message);
  if (data[0] % 3 == 2) {
    // Whatever the record says, what was accepted is within the rules.
    if (accepted) {
      QUDAG_ASSERT(accepted->priority == Priority::normal);
      QUDAG_ASSERT((accepted->next == NodeId{}) == (accepted->role != Role::relay));
      QUDAG_ASSERT(!accepted->rider || accepted->role != Role::relay);
    }
    return 0;
  }
  QUDAG_ASSERT(accepted.has_value() != changed);
  if (!accepted)
    QUDAG_ASSERT(accepted.error() == Errc::authentication_failed && window.size() == 0);
  return 0;
}
