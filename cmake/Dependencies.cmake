# Every third-party target in one place. OpenSSL and ngtcp2 come from QUDAG_DEPS_PREFIX (static,
# built by ./dev setup) or, where that is "system", from a system that has them new enough.
set(QUDAG_OPENSSL_MIN 3.5.0)
set(QUDAG_NGTCP2_MIN 1.22.0)

# A static library of the prefix as an imported target; never looks anywhere else.
function(qudag_prefix_library target file)
  set(path "${QUDAG_DEPS_PREFIX}/lib/${file}")
  if(NOT EXISTS "${path}")
    message(FATAL_ERROR "No ${path}. Run ./dev setup (QUDAG_DEPS_PREFIX=${QUDAG_DEPS_PREFIX}).")
  endif()
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION "${path}"
    INTERFACE_INCLUDE_DIRECTORIES "${QUDAG_DEPS_PREFIX}/include"
    INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()

if(QUDAG_DEPS_PREFIX AND NOT QUDAG_DEPS_PREFIX STREQUAL "system")
  qudag_prefix_library(OpenSSL::Crypto libcrypto.a Threads::Threads ${CMAKE_DL_LIBS})
  qudag_prefix_library(OpenSSL::SSL libssl.a OpenSSL::Crypto)
  qudag_prefix_library(ngtcp2::ngtcp2 libngtcp2.a)
  qudag_prefix_library(ngtcp2::crypto_ossl libngtcp2_crypto_ossl.a
                       ngtcp2::ngtcp2 OpenSSL::SSL OpenSSL::Crypto)
  # Before /usr/include for everything: no file of ours can meet the system's OpenSSL 3.0.
  include_directories(BEFORE SYSTEM "${QUDAG_DEPS_PREFIX}/include")
else()
  find_package(OpenSSL ${QUDAG_OPENSSL_MIN} REQUIRED)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(NGTCP2 REQUIRED IMPORTED_TARGET GLOBAL libngtcp2>=${QUDAG_NGTCP2_MIN})
  pkg_check_modules(NGTCP2_OSSL REQUIRED IMPORTED_TARGET GLOBAL
                    libngtcp2_crypto_ossl>=${QUDAG_NGTCP2_MIN})
  add_library(ngtcp2::ngtcp2 ALIAS PkgConfig::NGTCP2)
  target_link_libraries(PkgConfig::NGTCP2_OSSL INTERFACE PkgConfig::NGTCP2 OpenSSL::SSL)
  add_library(ngtcp2::crypto_ossl ALIAS PkgConfig::NGTCP2_OSSL)
endif()

# libipsec-mb, for its AES-GCM alone: what ./dev setup fetched, else the system's; without it, or where
# it is too old to have these entry points, OpenSSL does all (src/crypto/gcm.cc).
find_library(QUDAG_IPSEC_MB_LIBRARY libIPSec_MB.a HINTS "${QUDAG_DEPS_PREFIX}/lib")
find_path(QUDAG_IPSEC_MB_INCLUDE intel-ipsec-mb.h HINTS "${QUDAG_DEPS_PREFIX}/include")
if(QUDAG_IPSEC_MB AND QUDAG_IPSEC_MB_LIBRARY AND QUDAG_IPSEC_MB_INCLUDE)
  if(NOT QUDAG_IPSEC_MB_CHECKED STREQUAL QUDAG_IPSEC_MB_LIBRARY)  # another one, another answer
    unset(QUDAG_IPSEC_MB_HAS_GCM CACHE)
    set(QUDAG_IPSEC_MB_CHECKED "${QUDAG_IPSEC_MB_LIBRARY}" CACHE INTERNAL "")
  endif()
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_INCLUDES "${QUDAG_IPSEC_MB_INCLUDE}")
  set(CMAKE_REQUIRED_LIBRARIES "${QUDAG_IPSEC_MB_LIBRARY}")
  check_cxx_source_compiles("
    #include <intel-ipsec-mb.h>
    #include <type_traits>
    extern \"C\" {
    void aes_keyexp_256_enc_avx2(const void*, void*);
    void aes_gcm_precomp_256_vaes_avx512(gcm_key_data*);
    void aes_gcm_precomp_256_vaes_avx2(gcm_key_data*);
    void aes_gcm_precomp_256_avx_gen4(gcm_key_data*);
    std::remove_pointer_t<aes_gcm_enc_dec_t> aes_gcm_enc_256_vaes_avx512, aes_gcm_dec_256_vaes_avx512,
        aes_gcm_enc_256_vaes_avx2, aes_gcm_dec_256_vaes_avx2, aes_gcm_enc_256_avx_gen4,
        aes_gcm_dec_256_avx_gen4;
    }
    void* const all[] = {(void*)aes_keyexp_256_enc_avx2, (void*)aes_gcm_precomp_256_vaes_avx512,
        (void*)aes_gcm_precomp_256_vaes_avx2, (void*)aes_gcm_precomp_256_avx_gen4,
        (void*)aes_gcm_enc_256_vaes_avx512, (void*)aes_gcm_dec_256_vaes_avx512,
        (void*)aes_gcm_enc_256_vaes_avx2, (void*)aes_gcm_dec_256_vaes_avx2,
        (void*)aes_gcm_enc_256_avx_gen4, (void*)aes_gcm_dec_256_avx_gen4};
    int main(int argc, char**) { return all[argc] == nullptr; }" QUDAG_IPSEC_MB_HAS_GCM)
  unset(CMAKE_REQUIRED_INCLUDES)
  unset(CMAKE_REQUIRED_LIBRARIES)
endif()
add_library(qudag_ipsec_mb INTERFACE)
if(QUDAG_IPSEC_MB AND QUDAG_IPSEC_MB_HAS_GCM)
  target_include_directories(qudag_ipsec_mb SYSTEM INTERFACE "${QUDAG_IPSEC_MB_INCLUDE}")
  target_link_libraries(qudag_ipsec_mb INTERFACE "${QUDAG_IPSEC_MB_LIBRARY}")
  target_compile_definitions(qudag_ipsec_mb INTERFACE QUDAG_IPSEC_MB)
else()
  message(STATUS "No libipsec-mb 2.0 or later: AES-GCM by OpenSSL alone")
endif()

find_package(fmt REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(QRENCODE REQUIRED IMPORTED_TARGET GLOBAL libqrencode)
# Its flags (_DEFAULT_SOURCE) are for C: with them no precompiled header fits.
pkg_check_modules(NCURSES REQUIRED ncursesw)

# Our asio: no deprecated names, no exceptions hidden in headers of other modules.
add_library(qudag_asio INTERFACE)
target_link_libraries(qudag_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(qudag_asio INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ERROR_CODE_HEADER_ONLY)
