#define OPENSSL_SUPPRESS_DEPRECATED  // the method table is the one hook that every draw goes
                                     // through

#include "testing/seeded_rng.h"

#include "base/assert.h"

#include <openssl/rand.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace qudag::testing {

namespace {

std::uint64_t splitmix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// OpenSSL's hook has no context argument, hence the one process-wide pointer, here only.
SeededRng* openssl_rng = nullptr;

int draw(unsigned char* out, int size) {
  openssl_rng->fill({reinterpret_cast<std::byte*>(out), static_cast<std::size_t>(size)});
  return 1;
}
int always_seeded() { return 1; }

const RAND_METHOD kMethod{nullptr, draw, nullptr, nullptr, draw, always_seeded};

}  // namespace

SeededRng::SeededRng(std::uint64_t seed) {
  for (auto& word : state_) word = splitmix(seed);
}

std::uint64_t SeededRng::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

void SeededRng::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    const std::uint64_t word = next();
    const std::size_t n = std::min(out.size(), sizeof word);
    std::memcpy(out.data(), &word, n);
    out = out.subspan(n);
  }
}

SeededOpenssl::SeededOpenssl(std::uint64_t seed) : rng_(seed), before_(openssl_rng) {
  QUDAG_ASSERT(RAND_set_rand_method(&kMethod) == 1);
  openssl_rng = &rng_;
}

SeededOpenssl::~SeededOpenssl() {
  QUDAG_ASSERT(openssl_rng == &rng_);
  openssl_rng = before_;
  if (before_ == nullptr) RAND_set_rand_method(nullptr);
}

}  // namespace qudag::testing
