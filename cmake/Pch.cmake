# Precompiled headers: pch.h is compiled once for libraries and once for programs (GCC tells -fPIC
# from -fPIE), and the targets reuse it. It saves a third of a compilation and nothing depends on it:
# every file includes what it uses, and with QUDAG_PCH=OFF (as in the presets asan-ubsan and fuzz)
# all compiles as well.
if(NOT QUDAG_PCH OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  function(qudag_precompiled)
  endfunction()
  return()
endif()

foreach(kind PIC PIE)
  set(source "${CMAKE_BINARY_DIR}/pch/${kind}.cc")
  file(CONFIGURE OUTPUT "${source}" CONTENT "// Owns a precompiled header: see cmake/Pch.cmake.\n")
  add_library(qudag_pch_${kind} OBJECT "${source}")
  set_target_properties(qudag_pch_${kind} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(qudag_pch_${kind} PRIVATE -f${kind})
  target_link_libraries(qudag_pch_${kind} PRIVATE qudag_flags fmt::fmt)
  target_precompile_headers(qudag_pch_${kind} PRIVATE "${PROJECT_SOURCE_DIR}/cmake/pch.h")
endforeach()

# For targets whose flags are qudag_flags and nothing that pch.h could notice.
function(qudag_precompiled target)
  get_target_property(type ${target} TYPE)
  set(kind PIC)
  if(type STREQUAL "EXECUTABLE")
    set(kind PIE)
  endif()
  target_precompile_headers(${target} REUSE_FROM qudag_pch_${kind})
  target_link_libraries(${target} PRIVATE fmt::fmt)      # its definitions are in the header
  target_compile_options(${target} PRIVATE -fpch-preprocess)   # ccache needs it
endfunction()
