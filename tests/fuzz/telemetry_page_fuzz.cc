// modules: telemetry
// A page of metrics. Every byte is looked at once; percentiles are numbers.
#include "telemetry/reader.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view page(reinterpret_cast<const char*>(data), size);
  qudag::telemetry::Buckets buckets;
  std::size_t rows = 0;
  while (const auto row = qudag::telemetry::next_row(page)) {
    if (row->name.empty() || ++rows > size) std::abort();
    if (buckets.all.size() < 64) buckets.add(*row);
    static_cast<void>(qudag::telemetry::label_of(row->labels, "reason"));
  }
  const auto half = buckets.since({}).quantile(0.5);
  if (half && std::isinf(*half) && *half > 0) std::abort();
  return 0;
}
