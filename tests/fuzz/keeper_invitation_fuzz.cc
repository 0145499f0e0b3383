// modules: keeper
// Anything as the text of an invitation, and as what a receiver keeps: what parses is written again
// and is the same. The checksum of the text is put right as well, so that the rest is reached.
#include "base/base32.h"
#include "crypto/kdf.h"
#include "keeper/card/kept_receiver.h"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace qudag;

void round_trip(std::string_view text) {
  const auto parsed = Invitation::parse(text);
  if (!parsed) {
    QUDAG_ASSERT(parsed.error() == Errc::malformed);
    return;
  }
  QUDAG_ASSERT(!parsed->places.empty() && parsed->places.size() <= kKeepersMax);
  const auto again = Invitation::parse(parsed->to_string());
  QUDAG_ASSERT(again && *again == *parsed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  round_trip({reinterpret_cast<const char*>(data), size});
  std::vector<std::byte> raw(input.begin(), input.end());
  const auto sum = crypto::sha256({as_bytes("qudag/1 invitation"), raw});
  raw.insert(raw.end(), sum.begin(), sum.begin() + 4);
  round_trip("qudag1:" + base32_text(raw));
  const auto kept = keeper::KeptReceiver::parse(input);
  if (!kept) return 0;
  QUDAG_ASSERT(kept->posts.size() <= keeper::KeptReceiver::kPostsMax);
  QUDAG_ASSERT(kept->keys.size() <= keeper::KeptReceiver::kKeysMax);
  QUDAG_ASSERT(std::ranges::equal(kept->encode(), input));
  return 0;
}
