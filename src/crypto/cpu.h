// What the CPU can do, as OpenSSL sees it: OPENSSL_ia32cap and OPENSSL_armcap can hide features,
// and what the operating system does not save (wide registers) is hidden already.
#pragma once

#include <cstdint>

namespace qudag::crypto {

struct CpuFeatures {
  bool aes = false;     // instructions for AES and for GCM's carry-less product
  bool avx2 = false;    // 256-bit integers
  bool vaes = false;    // AES and carry-less product on 256-bit registers
  bool avx512 = false;  // F, BW, DQ and VL
};
/// Any thread; asks OpenSSL once.
const CpuFeatures& cpu_features();

}  // namespace qudag::crypto
