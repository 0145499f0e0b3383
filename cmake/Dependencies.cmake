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
