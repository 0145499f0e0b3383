// Arbitrary bytes and changed good replies into finish_build(); reply records into their parser.
// modules: onion
#include "base/assert.h"
#include "onion/record.h"
#include "onion/support_fuzz.h"

using namespace qudag;
using namespace qudag::onion;
using fuzz::World;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const Bytes in = std::as_bytes(std::span(data + 1, size - 1));

  std::array<std::byte, limits::kReplyRecordBytes> raw{};
  std::copy_n(in.begin(), std::min(in.size(), raw.size()),
              raw.end() - static_cast<std::ptrdiff_t>(std::min(in.size(), raw.size())));
  if (const auto record = parse_reply_record(raw)) {
    std::array<std::byte, limits::kReplyRecordBytes> again;
    write_reply_record(record->ct2.first<limits::kKemCiphertextBytes>(), record->status,
                       record->times, again);
    QUDAG_ASSERT(again == raw);  // one encoding only
  }

  auto circuit = world.start();
  ReplyMessage reply = circuit.reply;
  if (data[0] & 1) {
    ByteReader r(in);
    while (r.remaining() >= 3) {
      const std::size_t at = r.u16() % reply.size();
      reply[at] ^= std::byte{r.u8()};
    }
  } else {
    for (std::size_t i = 0; i < reply.size() && !in.empty(); ++i) reply[i] = in[i % in.size()];
  }
  const bool changed = reply != circuit.reply;
  const auto result = finish_build(std::move(circuit.pending), reply);
  QUDAG_ASSERT(result.has_value() != changed);
  return 0;
}
