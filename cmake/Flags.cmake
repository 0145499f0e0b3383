# qudag_flags: how our own code is compiled. Third-party headers come in as SYSTEM.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

# Dev: optimised a little (crypto-heavy tests must not crawl), no NDEBUG; lines in a debugger, and
# variables with QUDAG_DEBUG_LEVEL=2.
set(CMAKE_CXX_FLAGS_DEV "-O1 -g${QUDAG_DEBUG_LEVEL}" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_DEV "-O1 -g${QUDAG_DEBUG_LEVEL}" CACHE STRING "" FORCE)
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -g1 -DNDEBUG" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_RELEASE "-O3 -g1 -DNDEBUG" CACHE STRING "" FORCE)

find_package(Threads REQUIRED)

add_library(qudag_flags INTERFACE)
target_link_libraries(qudag_flags INTERFACE Threads::Threads)
target_include_directories(qudag_flags INTERFACE
  "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
target_compile_options(qudag_flags INTERFACE
  -Wall -Wextra -Wpedantic
  -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual
  -Wimplicit-fallthrough -Wformat=2 -Wundef -Wextra-semi
  -fno-omit-frame-pointer -fstack-protector-strong
  -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)  # __FILE__ is src/module/file.cc, wherever it was built
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(qudag_flags INTERFACE -Werror -Wduplicated-cond -Wlogical-op)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 reports these falsely in inlined std::string, std::vector and std::variant code
    # (GCC bugs 105329, 105651, 107138); they stay errors with newer compilers.
    target_compile_options(qudag_flags INTERFACE
      -Wno-restrict -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-stringop-overread
      -Wno-array-bounds -Wno-dangling-pointer)
  endif()
else()
  # Clang builds the fuzzers only; its versions differ in what they find, so it does not stop.
  target_compile_options(qudag_flags INTERFACE -Wno-sign-conversion -Wno-unknown-warning-option)
endif()
target_compile_definitions(qudag_flags INTERFACE
  $<$<BOOL:${QUDAG_DEBUG_CHECKS}>:QUDAG_DEBUG_CHECKS=1>
  $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
target_link_options(qudag_flags INTERFACE -Wl,-z,relro,-z,now)

if(QUDAG_SANITIZE)
  set(sanitize_flags -fsanitize=${QUDAG_SANITIZE})
  if(QUDAG_SANITIZE MATCHES "undefined")
    list(APPEND sanitize_flags -fno-sanitize-recover=all)
  endif()
  add_compile_options(${sanitize_flags})
  add_link_options(${sanitize_flags})
  if(QUDAG_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Asio uses std::atomic_thread_fence, which GCC's TSan does not model and says so.
    target_compile_options(qudag_flags INTERFACE -Wno-tsan)
  endif()
endif()
if(QUDAG_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(QUDAG_LTO AND CMAKE_BUILD_TYPE STREQUAL "Release")
  include(CheckIPOSupported)
  check_ipo_supported(RESULT lto_works LANGUAGES CXX)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${lto_works})
endif()
