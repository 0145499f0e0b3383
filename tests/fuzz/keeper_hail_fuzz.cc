// modules: keeper
// Anything as a hail, and as an answer: nothing but what was made for these keys opens. A hail
// that is right is changed by XOR, so that what stands behind the tag is reached with zeros.
#include "keeper/hail.h"

#include <algorithm>
#include <optional>

namespace {

using namespace qudag;

struct Made {
  crypto::KemKeyPair key = *crypto::KemKeyPair::generate();
  crypto::KemPublicKey card = *crypto::KemPublicKey::import(key.public_bytes());
};

void open(const Made& made, keeper::Hail hail, bool good) {
  const crypto::KemKeyPair* keys[] = {&made.key};
  onion::ReplayWindow seen(2);
  const auto opened = keeper::open_hail({}, keys, seen, 1'800'000'000, hail);
  QUDAG_ASSERT(opened.has_value() == good);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Made made;
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  keeper::Hail hail{};
  keeper::HailFields fields{.expiry_minutes = keeper::hail_expiry(1'800'000'000)};
  auto call =
      keeper::make_hail({}, made.card, fields,
                        input.first(std::min<std::size_t>(size, keeper::kHailFramesBytes)), hail);
  QUDAG_ASSERT(call);
  keeper::Hail changed = hail;
  bool same = true;
  for (std::size_t i = 0; i < std::min(size, hail.size()); ++i) {
    changed[i] ^= input[i];
    same = same && input[i] == std::byte{0};
  }
  open(made, changed, same);
  keeper::Answer answer{};
  std::ranges::copy(input.first(std::min(size, answer.size())), answer.begin());
  QUDAG_ASSERT(!keeper::finish_call(std::move(*call), answer));
  return 0;
}
