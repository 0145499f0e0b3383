# Run by ctest: see CMakeLists.txt.
set(prefix "${WORK_DIR}/prefix")
set(examples "${WORK_DIR}/examples")
file(REMOVE_RECURSE "${prefix}" "${examples}")

macro(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endmacro()

run(${CMAKE_COMMAND} --install "${BUILD_DIR}" --prefix "${prefix}")

# Only our headers are installed, and the library needs nobody's OpenSSL or ngtcp2.
file(GLOB_RECURSE headers RELATIVE "${prefix}/include" "${prefix}/include/*")
foreach(header ${headers})
  if(NOT header MATCHES "^qudag/[a-z_]+\\.h$")
    message(FATAL_ERROR "installed by mistake: include/${header}")
  endif()
endforeach()
set(library "${prefix}/${LIBDIR}/libqudag.so")
execute_process(COMMAND readelf -d "${library}" OUTPUT_VARIABLE needed COMMAND_ERROR_IS_FATAL ANY)
if(needed MATCHES "NEEDED[^\n]*lib(ssl|crypto|ngtcp2)")
  message(FATAL_ERROR "libqudag.so must carry OpenSSL and ngtcp2 inside:\n${needed}")
endif()
execute_process(COMMAND nm -D --defined-only -C "${library}" OUTPUT_VARIABLE symbols
                COMMAND_ERROR_IS_FATAL ANY)
if(symbols MATCHES " T (SSL_|EVP_|ngtcp2_)")
  message(FATAL_ERROR "libqudag.so exports symbols of OpenSSL or ngtcp2")
endif()

set(flags "")
if(SANITIZE)
  set(flags "-DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE}")
endif()
run(${CMAKE_COMMAND} -S "${EXAMPLES_DIR}" -B "${examples}" -G Ninja
    "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_CXX_COMPILER=${COMPILER}" ${flags})
run(${CMAKE_COMMAND} --build "${examples}")

# An example that can run alone says so by a test of its own.
run(${CMAKE_CTEST_COMMAND} --test-dir "${examples}" --output-on-failure --no-tests=ignore)
