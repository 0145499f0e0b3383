// modules: keeper
// Anything as a card and as its sealed form: nothing but what the receiver signed is read. A good
// one is changed by XOR, so that what stands behind tag and signature is reached with zeros.
#include "keeper/card/card.h"

#include <algorithm>

namespace {

using namespace qudag;

constexpr UnixSeconds kNow = 1'800'000'000;

struct Made {
  crypto::Identity identity = *crypto::Identity::generate();
  keeper::Pin pin{std::byte{1}};
  std::vector<std::byte> card;

  Made() {
    const auto key = *crypto::KemKeyPair::generate();
    card = *keeper::sign_card(identity, {.published = kNow,
                                         .expires = kNow + 1'000,
                                         .places = {{}, {}},
                                         .keys = {{kNow, kNow + 1'000, key.public_bytes()}}});
  }
  keeper::CardBlob sealed(Bytes text) const {
    keeper::CardBlob out;
    keeper::seal_card(text, identity.id(), pin, {}, {}, out);
    return out;
  }
  bool opens(keeper::CardBlob blob) const {
    return keeper::open_card(blob, identity.id(), pin, {}, kNow).has_value();
  }
};

/// False if they were all zeros.
template <class To>
bool change(To& to, Bytes by) {
  const std::size_t n = std::min(by.size(), to.size());
  for (std::size_t i = 0; i < n; ++i) to[i] ^= by[i];
  return std::ranges::any_of(by.first(n), [](std::byte b) { return b != std::byte{0}; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Made made;
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  static_cast<void>(keeper::read_card(input, made.identity.id()));
  // The blob, changed; then the card inside, which opens and is wrong.
  keeper::CardBlob blob = made.sealed(made.card);
  const bool changed = change(blob, input);
  QUDAG_ASSERT(made.opens(blob) == !changed);
  auto card = made.card;
  const bool other = change(card, input);
  QUDAG_ASSERT(made.opens(made.sealed(card)) == !other);
  QUDAG_ASSERT(keeper::read_card(card, made.identity.id()).has_value() == !other);
  // And anything at all inside.
  const Bytes text = input.first(std::min<std::size_t>(size, 8'160));
  static_cast<void>(made.opens(made.sealed(text)));
  return 0;
}
