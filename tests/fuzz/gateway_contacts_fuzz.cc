// modules: gateway
// Anything as the file of contacts: what parses has names that are names, each once.
#include "base/assert.h"
#include "gateway/contact_book.h"

#include <set>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  const auto rows = gateway::parse_contacts({reinterpret_cast<const char*>(data), size});
  if (!rows) {
    QUDAG_ASSERT(rows.error() == Errc::config_invalid);
    return 0;
  }
  std::set<std::string> names;
  for (const auto& row : *rows) {
    QUDAG_ASSERT(config::is_service_name(row.name));
    QUDAG_ASSERT(names.insert(row.name).second);
  }
  QUDAG_ASSERT(rows->size() <= gateway::ContactBook::kContactsMax);
  return 0;
}
