// Ids, addresses and peers as text: no input crashes, and what parses prints to something that
// parses to the same value.
// modules: base
#include "base/assert.h"

#include <qudag/address.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

template <class T>
void round_trip(std::string_view text) {
  const auto parsed = T::parse(text);
  if (!parsed) {
    QUDAG_ASSERT(parsed.error().code == qudag::Errc::malformed);
    return;
  }
  const auto again = T::parse(parsed->to_string());
  QUDAG_ASSERT(again && *again == *parsed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  round_trip<qudag::NodeId>(text);
  round_trip<qudag::SocketAddress>(text);
  round_trip<qudag::PeerAddress>(text);
  return 0;
}
