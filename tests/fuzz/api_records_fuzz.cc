// modules: api
// One WebSocket message, as the server and as the client would read it. What parses must come out
// of the encoder as it went in.
#include "api/records/records.h"

#include <algorithm>
#include <cstdlib>

namespace {

template <class Parse>
void read(qudag::Bytes message, Parse parse) {
  qudag::api::RecordReader reader(message);
  while (!reader.at_end()) {
    const auto raw = reader.next();
    if (!raw) return;
    const auto record = parse(*raw);
    if (!record) continue;
    std::vector<std::byte> again;
    std::visit([&again](const auto& known) { qudag::api::append(again, known); }, *record);
    const qudag::Bytes body = qudag::Bytes(again).subspan(qudag::api::kRecordLengthBytes + 1);
    if (!std::ranges::equal(body, raw->body)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const qudag::Bytes message(reinterpret_cast<const std::byte*>(data), size);
  read(message, qudag::api::parse_client_record);
  read(message, qudag::api::parse_server_record);
  return 0;
}
