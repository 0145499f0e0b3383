# What can be switched. The presets set these; see CMakePresets.json.
set(QUDAG_DEPS_PREFIX "" CACHE PATH
    "Tree with OpenSSL >= 3.5 and ngtcp2 >= 1.22; empty: what ./dev setup made, else the system's")
set(QUDAG_SANITIZE "" CACHE STRING "Value for -fsanitize=, for example address,undefined")
set(QUDAG_DEBUG_LEVEL 1 CACHE STRING
    "The -g of Dev builds: 1 is lines and names of functions; 2 is variables too, and slower to build")
option(QUDAG_DEBUG_CHECKS "QUDAG_DCHECK for hot paths (QUDAG_ASSERT is always on)" OFF)
option(QUDAG_FUZZ "Build the fuzz targets against libFuzzer (clang)" OFF)
option(QUDAG_LTO "Link-time optimisation in Release builds" OFF)
option(QUDAG_PCH "Precompile what most files include (cmake/pch.h; GCC only)" ON)
option(QUDAG_IPSEC_MB "AES-GCM by libipsec-mb on CPUs that it has code for, where it is installed" ON)
option(QUDAG_CCACHE "Compile through ccache where it is installed" ON)

if(NOT QUDAG_DEPS_PREFIX)
  set(cache "$ENV{XDG_CACHE_HOME}")
  if(NOT cache)
    set(cache "$ENV{HOME}/.cache")
  endif()
  if(EXISTS "${cache}/qudag/deps/.complete")
    file(REAL_PATH "${cache}/qudag/deps" found)
    set_property(CACHE QUDAG_DEPS_PREFIX PROPERTY VALUE "${found}")
  endif()
endif()

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Dev CACHE STRING "Dev or Release" FORCE)
endif()

if(QUDAG_CCACHE)
  find_program(QUDAG_CCACHE_PROGRAM ccache)
  if(QUDAG_CCACHE_PROGRAM)
    # NOHASHDIR: build directories of one source tree share what they compile alike. SLOPPINESS: what
    # ccache wants to be told before it caches anything that has a precompiled header.
    set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_NOHASHDIR=1
        CCACHE_SLOPPINESS=pch_defines,time_macros "${QUDAG_CCACHE_PROGRAM}")
    set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  endif()
endif()

set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
