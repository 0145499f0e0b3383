#include "crypto/random.h"

#include "crypto/openssl.h"

#include <openssl/rand.h>

#include <algorithm>

namespace qudag::crypto {

// RAND_bytes takes an int; whoever asks for more gets it in pieces. A generator that fails must
// stop the program: nothing here is safe without it.
void SystemRng::fill(std::span<std::byte> out) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  while (!out.empty()) {
    const auto piece = out.first(std::min(out.size(), kPiece));
    openssl::must(RAND_bytes(u8(piece), static_cast<int>(piece.size())));
    out = out.subspan(piece.size());
  }
}

}  // namespace qudag::crypto
