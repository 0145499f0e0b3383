// AES-256-GCM with the vector code of libipsec-mb, where the build has that library and the CPU
// what its code needs. One call for a message, while OpenSSL takes four; and VAES on 256-bit
// registers for CPUs without AVX-512, where OpenSSL's GCM stays with 128.
//
// The bytes are those of every AES-256-GCM (NIST SP 800-38D, 96-bit nonces, 128-bit tags). A code
// is offered only after it gave OpenSSL's bytes for messages of several lengths, once per process.
// Not thread-safe; one object for both directions. Memory is OpenSSL's, and is counted with it;
// after construction nothing allocates.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace qudag::crypto {

/// One implementation; they are listed by gcm_codes() and live as long as the process.
struct GcmCode;
/// "vaes-avx512", "vaes-avx2" or "avx2".
std::string_view gcm_code_name(const GcmCode& code) noexcept;
/// What this CPU runs, the fastest first. Features that OPENSSL_ia32cap hides are taken as missing.
std::span<const GcmCode* const> gcm_codes();
/// The first of them; null: OpenSSL's is to be used. The environment variable QUDAG_GCM asks for
/// another by its name, or with "openssl" for none.
const GcmCode* gcm_code();
/// Of what is made from now on; null: OpenSSL's. For tests and measurements that compare them.
void choose_gcm_code(const GcmCode* code);

class Gcm {
 public:
  static constexpr std::size_t kNonceBytes = 12, kTagBytes = 16, kKeyBytes = 32;

  Gcm() = default;
  /// Without memory it is as good as none.
  Gcm(const GcmCode& code, std::span<const std::byte, kKeyBytes> key);
  /// Wipes the key.
  ~Gcm();
  Gcm(Gcm&&) noexcept;
  Gcm& operator=(Gcm&&) noexcept;
  explicit operator bool() const { return state_ != nullptr; }

  /// `text` is encrypted to `out`, which has its size and is the same memory or none of it.
  void seal(std::span<const std::byte, kNonceBytes> nonce, Bytes aad, Bytes text, std::byte* out,
            std::span<std::byte, kTagBytes> tag);
  /// Decrypts to `out`. On false the contents of `out` are unspecified and must be dropped.
  [[nodiscard]] bool open(std::span<const std::byte, kNonceBytes> nonce, Bytes aad, Bytes text,
                          std::byte* out, std::span<const std::byte, kTagBytes> tag);

 private:
  struct State;
  struct Free {
    void operator()(State* state) const noexcept;
  };
  std::unique_ptr<State, Free> state_;
};

}  // namespace qudag::crypto
