// The entry points below are those that the library's manager would choose from. They are called
// directly for two reasons: the manager links every algorithm of the library (15 MB where these
// take 0.5), and it asks for GFNI before it takes VAES on 256-bit registers, which GCM does not use
// and which some CPUs with VAES lack. cmake/Dependencies.cmake looks whether the library has them.
#include "crypto/gcm.h"

#include "base/assert.h"
#include "crypto/cpu.h"
#include "crypto/openssl.h"

#include <openssl/crypto.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#ifdef QUDAG_IPSEC_MB
#include <intel-ipsec-mb.h>

extern "C" {
void aes_keyexp_256_enc_avx2(const void* key, void* expanded);
#define QUDAG_GCM_CODE(suffix)                             \
  void aes_gcm_precomp_256_##suffix(struct gcm_key_data*); \
  std::remove_pointer_t<aes_gcm_enc_dec_t> aes_gcm_enc_256_##suffix, aes_gcm_dec_256_##suffix
QUDAG_GCM_CODE(vaes_avx512);
QUDAG_GCM_CODE(vaes_avx2);
QUDAG_GCM_CODE(avx_gen4);
#undef QUDAG_GCM_CODE
}

namespace qudag::crypto {

struct GcmCode {
  std::string_view name;
  bool (*runs)(const CpuFeatures&);
  void (*precompute)(gcm_key_data*);
  aes_gcm_enc_dec_t seal, open;
};

/// Loads of whole 512-bit registers want this alignment, which OpenSSL's allocator does not give.
struct alignas(64) Gcm::State {
  gcm_key_data key;
  const GcmCode* code;
  void* memory;  // in which it lies
};

namespace {

/// What the code keeps while it works on one message, parts of the keystream among it.
struct Scratch {
  Scratch() {}  // the code fills it
  ~Scratch() { wipe(std::as_writable_bytes(std::span(&data, 1))); }
  gcm_context_data data;
};

}  // namespace

void Gcm::Free::operator()(State* state) const noexcept {
  OPENSSL_clear_free(state->memory, sizeof(State) + alignof(State));
}

namespace {

constexpr std::array kCodes = {
    GcmCode{"vaes-avx512", [](const CpuFeatures& cpu) { return cpu.vaes && cpu.avx512; },
            aes_gcm_precomp_256_vaes_avx512, aes_gcm_enc_256_vaes_avx512,
            aes_gcm_dec_256_vaes_avx512},
    GcmCode{"vaes-avx2", [](const CpuFeatures& cpu) { return cpu.vaes; },
            aes_gcm_precomp_256_vaes_avx2, aes_gcm_enc_256_vaes_avx2, aes_gcm_dec_256_vaes_avx2},
    GcmCode{"avx2", [](const CpuFeatures& cpu) { return cpu.avx2; }, aes_gcm_precomp_256_avx_gen4,
            aes_gcm_enc_256_avx_gen4, aes_gcm_dec_256_avx_gen4},
};

}  // namespace

Gcm::Gcm(const GcmCode& code, std::span<const std::byte, kKeyBytes> key) {
  std::size_t room = sizeof(State) + alignof(State);
  void* const memory = OPENSSL_zalloc(room);
  if (memory == nullptr) return;
  void* at = memory;
  state_.reset(new (std::align(alignof(State), sizeof(State), at, room)) State);
  state_->memory = memory;
  state_->code = &code;
  aes_keyexp_256_enc_avx2(key.data(), state_->key.expanded_keys);
  code.precompute(&state_->key);
}

void Gcm::seal(std::span<const std::byte, kNonceBytes> nonce, Bytes aad, Bytes text, std::byte* out,
               std::span<std::byte, kTagBytes> tag) {
  State& s = *state_;
  Scratch scratch;
  s.code->seal(&s.key, &scratch.data, reinterpret_cast<std::uint8_t*>(out), u8(text), text.size(),
               u8(nonce), u8(aad), aad.size(), u8(MutableBytes(tag)), kTagBytes);
}

bool Gcm::open(std::span<const std::byte, kNonceBytes> nonce, Bytes aad, Bytes text, std::byte* out,
               std::span<const std::byte, kTagBytes> tag) {
  State& s = *state_;
  Scratch scratch;
  std::array<std::byte, kTagBytes> right;
  s.code->open(&s.key, &scratch.data, reinterpret_cast<std::uint8_t*>(out), u8(text), text.size(),
               u8(nonce), u8(aad), aad.size(), u8(MutableBytes(right)), kTagBytes);
  return equal_constant_time(tag, right);
}

#else

namespace qudag::crypto {

struct GcmCode {
  std::string_view name;
  bool (*runs)(const CpuFeatures&);
};
struct Gcm::State {};
void Gcm::Free::operator()(State*) const noexcept {}

namespace {

constexpr std::array<GcmCode, 0> kCodes;

}  // namespace

Gcm::Gcm(const GcmCode&, std::span<const std::byte, kKeyBytes>) { QUDAG_ASSERT(false); }
void Gcm::seal(std::span<const std::byte, kNonceBytes>, Bytes, Bytes, std::byte*,
               std::span<std::byte, kTagBytes>) {}
bool Gcm::open(std::span<const std::byte, kNonceBytes>, Bytes, Bytes, std::byte*,
               std::span<const std::byte, kTagBytes>) {
  return false;
}

#endif

Gcm::~Gcm() = default;
Gcm::Gcm(Gcm&&) noexcept = default;
Gcm& Gcm::operator=(Gcm&&) noexcept = default;

namespace {

using openssl::must;

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, openssl::Freed<EVP_CIPHER_CTX_free>>;

/// OpenSSL's text and tag, one behind the other.
std::vector<std::byte> sealed_by_openssl(Bytes key, Bytes nonce, Bytes aad, Bytes text) {
  std::vector<std::byte> out(text.size() + Gcm::kTagBytes);
  const CipherContext context(openssl::must_have(EVP_CIPHER_CTX_new()));
  int written = 0;
  must(EVP_EncryptInit_ex2(context.get(), EVP_aes_256_gcm(), u8(key), u8(nonce), nullptr));
  must(EVP_EncryptUpdate(context.get(), nullptr, &written, u8(aad), static_cast<int>(aad.size())));
  must(EVP_EncryptUpdate(context.get(), u8(MutableBytes(out)), &written, u8(text),
                         static_cast<int>(text.size())));
  must(EVP_EncryptFinal_ex(context.get(), u8(MutableBytes(out)) + text.size(), &written));
  must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, Gcm::kTagBytes,
                           out.data() + text.size()));
  return out;
}

/// Whether this machine computes with it what OpenSSL does: a CPU, or a machine that pretends to be
/// one, may say that it has instructions which it gets wrong.
bool agrees_with_openssl(const GcmCode& code) {
  std::array<std::byte, 1500> pattern;
  for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<std::byte>(i * 7 + 1);
  const auto key = std::span(pattern).subspan<100, Gcm::kKeyBytes>();
  const auto nonce = std::span(pattern).subspan<200, Gcm::kNonceBytes>();
  Gcm gcm(code, key);
  if (!gcm) return false;
  for (const std::size_t size : {1, 16, 255, 1008, 1416}) {
    const Bytes aad = Bytes(pattern).first(size % 41);
    const Bytes text = Bytes(pattern).first(size);
    const auto right = sealed_by_openssl(key, nonce, aad, text);
    std::vector<std::byte> out(text.begin(), text.end());
    std::array<std::byte, Gcm::kTagBytes> tag;
    gcm.seal(nonce, aad, out, out.data(), tag);
    if (std::memcmp(out.data(), right.data(), size) != 0 ||
        std::memcmp(tag.data(), right.data() + size, tag.size()) != 0 ||
        !gcm.open(nonce, aad, out, out.data(), tag) ||
        std::memcmp(out.data(), text.data(), size) != 0) {
      return false;
    }
    tag[size % tag.size()] ^= std::byte{1};
    if (gcm.open(nonce, aad, out, out.data(), tag)) return false;
  }
  return true;
}

}  // namespace

std::string_view gcm_code_name(const GcmCode& code) noexcept { return code.name; }

std::span<const GcmCode* const> gcm_codes() {
  static const std::vector<const GcmCode*> codes = [] {
    std::vector<const GcmCode*> out;
    for (const GcmCode& code : kCodes) {
      if (code.runs(cpu_features()) && agrees_with_openssl(code)) out.push_back(&code);
    }
    return out;
  }();
  return codes;
}

namespace {

std::atomic<const GcmCode*>& chosen() {
  static std::atomic<const GcmCode*> code = []() -> const GcmCode* {
    const char* const wanted = std::getenv("QUDAG_GCM");
    for (const GcmCode* const each : gcm_codes()) {
      if (wanted == nullptr || each->name == wanted) return each;
    }
    return nullptr;
  }();
  return code;
}

}  // namespace

const GcmCode* gcm_code() { return chosen().load(std::memory_order_relaxed); }
void choose_gcm_code(const GcmCode* code) { chosen().store(code, std::memory_order_relaxed); }

}  // namespace qudag::crypto
