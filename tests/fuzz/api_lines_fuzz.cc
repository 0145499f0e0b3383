// modules: api
// A line of text mode. What is taken can be said as a record, and has no more than the line had.
#include "api/server/lines.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto line = qudag::api::parse_line({reinterpret_cast<const char*>(data), size});
  if (!line) {
    if (qudag::api::error_line(line.error()).find('\n') != std::string::npos) std::abort();
    return 0;
  }
  std::vector<std::byte> record;
  std::visit([&record](const auto& known) { qudag::api::append(record, known); }, line->record);
  qudag::api::RecordReader reader(record);
  const auto raw = reader.next();
  if (!raw || !qudag::api::parse_client_record(*raw) || line->payload.size() > size) std::abort();
  return 0;
}
