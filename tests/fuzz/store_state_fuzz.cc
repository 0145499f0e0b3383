// modules: store circuit
// Any bytes as a state file: what passes is written again to the same bytes. And as the body of the
// file `quota`, then as wall clocks and words of peers: time goes on, and the end of the month is
// never more than a month away.
#include "store/state_file.h"

#include "base/assert.h"
#include "circuit/quota/month.h"

#include <algorithm>

namespace qudag {
namespace {

void file_of_guards(Bytes file) {
  constexpr store::StateKind kKind{.name = "guards", .version = 1};
  const auto body = store::parse_state(kKind, file);
  // The fuzzer seldom finds a checksum: the rest of the way is gone with one that is right.
  const auto whole = store::encode_state(kKind, file);
  const auto again = store::parse_state(kKind, whole);
  QUDAG_ASSERT(again && std::ranges::equal(*again, file));
  if (!body) return;
  QUDAG_ASSERT(std::ranges::equal(store::encode_state(kKind, *body), file));
}

void body_of_quota(Bytes in) {
  using circuit::KeptMonth;
  const auto kept = KeptMonth::parse(in.first(std::min(in.size(), KeptMonth::kBytes)));
  if (!kept) return;
  QUDAG_ASSERT(KeptMonth::parse(kept->encode())->used == kept->used);
  TimePoint mono{};
  circuit::MonthClock clock(kept->clock, {mono, 0});
  constexpr std::size_t kStep = 18;
  for (in = in.subspan(KeptMonth::kBytes); in.size() >= kStep; in = in.subspan(kStep)) {
    ByteReader reader(in.first(kStep));
    mono += std::chrono::minutes(reader.u8());
    const bool peers = reader.u8() % 2 == 1;
    const UnixSeconds wall = reader.u64(), before = clock.at(mono);
    const auto off = static_cast<std::int64_t>(reader.u64());
    static_cast<void>(clock.tick({mono, wall}, peers ? std::optional(off) : std::nullopt));
    QUDAG_ASSERT(peers || clock.at(mono) >= before);
    QUDAG_ASSERT(clock.until_turn(mono) > std::chrono::seconds(0));
    QUDAG_ASSERT(clock.until_turn(mono) <= std::chrono::days(31));
  }
}

}  // namespace
}  // namespace qudag

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const qudag::Bytes in(reinterpret_cast<const std::byte*>(data), size);
  qudag::file_of_guards(in);
  qudag::body_of_quota(in);
  return 0;
}
