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
  if(NOT header MATCHES "^qudag/(testing/)?[a-z_]+\\.h$")
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

# Stripped, and what a debugger needs beside it.
foreach(file "${prefix}/bin/qudag" "${library}")
  if(NOT EXISTS "${file}")
    continue()   # a tree without the program
  endif()
  file(REAL_PATH "${file}" real)
  get_filename_component(dir "${real}" DIRECTORY)
  get_filename_component(name "${real}" NAME)
  execute_process(COMMAND readelf -SW "${real}" OUTPUT_VARIABLE sections COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND readelf -SW "${dir}/.debug/${name}.debug" OUTPUT_VARIABLE debug
                  COMMAND_ERROR_IS_FATAL ANY)
  if(sections MATCHES " \\.debug_info " OR NOT sections MATCHES " \\.gnu_debuglink "
     OR NOT debug MATCHES " \\.debug_info ")
    message(FATAL_ERROR "${file}: debug information is not where it belongs")
  endif()
  file(SIZE "${real}" bytes)
  if(bytes GREATER 15000000 AND NOT SANITIZE)
    message(FATAL_ERROR "${file}: ${bytes} bytes, and 15 MB is the bound")
  endif()
endforeach()
if(EXISTS "${prefix}/bin/qudag")
  run("${prefix}/bin/qudag" --version)
endif()

# What ./dev demo builds (the target `installed`) is all that was installed of what is built.
execute_process(COMMAND "${NINJA}" -C "${BUILD_DIR}" -t commands installed OUTPUT_VARIABLE commands
                COMMAND_ERROR_IS_FATAL ANY)
file(GLOB built LIST_DIRECTORIES false "${prefix}/bin/*" "${prefix}/${LIBDIR}/*.so.*.*")
foreach(file ${built})
  get_filename_component(name "${file}" NAME)
  string(FIND "${commands}" "/${name} " found)
  if(found EQUAL -1)
    message(FATAL_ERROR "${name} is installed, and the target `installed` does not build it")
  endif()
endforeach()

# The program that README.md shows, word for word.
file(READ "${EXAMPLES_DIR}/../README.md" readme)
string(REPLACE ";" "\\;" readme "${readme}")
string(FIND "${readme}" "```cpp\n" begin)
string(SUBSTRING "${readme}" ${begin} -1 program)
string(SUBSTRING "${program}" 7 -1 program)
string(FIND "${program}" "```" end)
string(SUBSTRING "${program}" 0 ${end} program)
string(REPLACE "\\;" ";" program "${program}")
file(WRITE "${WORK_DIR}/readme.cc" "// run: in network\n${program}")

set(flags "")
if(SANITIZE)
  set(flags "-DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE}")
endif()
run(${CMAKE_COMMAND} -S "${EXAMPLES_DIR}" -B "${examples}" -G Ninja
    "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_CXX_COMPILER=${COMPILER}"
    "-DREADME_PROGRAM=${WORK_DIR}/readme.cc" ${flags})
run(${CMAKE_COMMAND} --build "${examples}")

# An example that can run alone says so by a test of its own.
run(${CMAKE_CTEST_COMMAND} --test-dir "${examples}" --output-on-failure --no-tests=ignore)
