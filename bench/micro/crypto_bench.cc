// Cost of the cryptography of cells, builds and identities.
// modules: crypto
#include "crypto/aead.h"
#include "crypto/identity.h"
#include "crypto/kdf.h"
#include "crypto/kem.h"

#include <benchmark/benchmark.h>

#include <vector>

namespace qudag::crypto {
namespace {

void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

template <Cipher kCipher>
void seal(benchmark::State& state) {
  Aead aead(Key256(), Aead::kAllUses, kCipher);
  std::vector<std::byte> cell(static_cast<std::size_t>(state.range(0)));
  std::array<std::byte, kTagSize> tag{};
  std::uint64_t counter = 0;
  for (auto _ : state) aead.seal(counter_nonce(counter++), {}, cell, tag);
  count_bytes(state);
}
BENCHMARK(seal<Cipher::aes_256_gcm>)->Arg(1008)->Arg(8176);
BENCHMARK(seal<Cipher::chacha20_poly1305>)->Arg(1008)->Arg(8176);

template <Cipher kCipher>
void open(benchmark::State& state) {
  Aead aead(Key256(), Aead::kAllUses, kCipher);
  const std::vector<std::byte> text(static_cast<std::size_t>(state.range(0)));
  std::vector<std::byte> cell = text;
  std::array<std::byte, kTagSize> tag{};
  aead.seal(counter_nonce(1), {}, cell, tag);
  const std::vector<std::byte> sealed = cell;
  for (auto _ : state) {
    std::copy(sealed.begin(), sealed.end(), cell.begin());  // open works in place: a copy is in it
    benchmark::DoNotOptimize(aead.open(counter_nonce(1), {}, cell, tag));
  }
  count_bytes(state);
}
BENCHMARK(open<Cipher::aes_256_gcm>)->Arg(1008)->Arg(8176);
BENCHMARK(open<Cipher::chacha20_poly1305>)->Arg(1008)->Arg(8176);

template <Cipher kCipher>
void keystream_tail(benchmark::State& state) {
  Aead aead(Key256(), Aead::kAllUses, kCipher);
  std::vector<std::byte> tail(static_cast<std::size_t>(state.range(0)));
  std::uint64_t counter = 0;
  for (auto _ : state) aead.keystream(counter_nonce(counter++), 928, tail);
}
BENCHMARK(keystream_tail<Cipher::aes_256_gcm>)->Arg(16)->Arg(80);
BENCHMARK(keystream_tail<Cipher::chacha20_poly1305>)->Arg(16)->Arg(80);

void filler(benchmark::State& state) {
  KeyStream stream{Key256()};
  std::array<std::byte, 16> out{};
  for (auto _ : state) stream.next(out);
}
BENCHMARK(filler);

void aead_setup(benchmark::State& state) {
  const Key256 key;
  for (auto _ : state) benchmark::DoNotOptimize(Aead(key, Aead::kOpen));
}
BENCHMARK(aead_setup);

void hkdf_expand_one_key(benchmark::State& state) {
  const Key256 prk;
  for (auto _ : state) benchmark::DoNotOptimize(hkdf_expand_key(prk, "forward chain"));
}
BENCHMARK(hkdf_expand_one_key);

void sha256_ciphertext(benchmark::State& state) {
  const std::vector<std::byte> data(kKemCiphertextSize);
  for (auto _ : state) benchmark::DoNotOptimize(sha256(data));
}
BENCHMARK(sha256_ciphertext);

void kem_generate(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(KemKeyPair::generate());
}
BENCHMARK(kem_generate)->Unit(benchmark::kMicrosecond);

void kem_import(benchmark::State& state) {
  const auto raw = KemKeyPair::generate()->public_bytes();
  for (auto _ : state) benchmark::DoNotOptimize(KemPublicKey::import(raw));
}
BENCHMARK(kem_import)->Unit(benchmark::kMicrosecond);

void kem_encapsulate(benchmark::State& state) {
  const auto key = KemPublicKey::import(KemKeyPair::generate()->public_bytes());
  for (auto _ : state) benchmark::DoNotOptimize(key->encapsulate());
}
BENCHMARK(kem_encapsulate)->Unit(benchmark::kMicrosecond);

void kem_decapsulate(benchmark::State& state) {
  const auto pair = KemKeyPair::generate();
  const auto sent = KemPublicKey::import(pair->public_bytes())->encapsulate();
  for (auto _ : state) benchmark::DoNotOptimize(pair->decapsulate(sent->ciphertext));
}
BENCHMARK(kem_decapsulate)->Unit(benchmark::kMicrosecond);

void identity_sign(benchmark::State& state) {
  const auto identity = Identity::generate();
  const std::vector<std::byte> message(1024);
  for (auto _ : state) benchmark::DoNotOptimize(identity->sign(kMessageContext, message));
}
BENCHMARK(identity_sign)->Unit(benchmark::kMicrosecond);

void identity_verify(benchmark::State& state) {
  const auto identity = Identity::generate();
  const std::vector<std::byte> message(1024);
  const auto signature = identity->sign(kMessageContext, message);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        verify(identity->public_bytes(), kMessageContext, message, *signature));
  }
}
BENCHMARK(identity_verify)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace qudag::crypto
