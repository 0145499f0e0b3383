// modules: netmap
// Any bytes as the body of the state file `netmap`: what is parsed lies inside, in order, and what
// verifies is written again.
#include "netmap/kept.h"

#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  const Bytes body(reinterpret_cast<const std::byte*>(data), size);
  const auto records = netmap::parse_kept(body);
  if (!records) return 0;
  QUDAG_ASSERT(records->size() <= netmap::kKeptMax);
  std::size_t used = 4;
  for (const netmap::KeptRecord& record : *records) {
    QUDAG_ASSERT(record.raw.data() == body.data() + used + netmap::kKeptHeaderBytes);
    used += netmap::kKeptHeaderBytes + record.raw.size();
  }
  QUDAG_ASSERT(used == size);
  const auto kept = netmap::verify_kept(*records, 1'800'000'000);
  QUDAG_ASSERT(kept.size() <= records->size());
  QUDAG_ASSERT(netmap::parse_kept(netmap::encode_kept(kept)).has_value());
  return 0;
}
