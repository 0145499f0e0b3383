# libqudag.so: the module `node` and everything below it in one shared library. Only what
# include/qudag/ marks QUDAG_API is exported; OpenSSL and ngtcp2 are inside and invisible.
qudag_module_closure(public_modules missing node)
if(missing)
  message(FATAL_ERROR "libqudag: there is no module '${missing}'")
endif()
add_library(qudag SHARED)
add_library(qudag::qudag ALIAS qudag)
foreach(module ${public_modules})
  get_target_property(kind qudag_${module} TYPE)
  if(kind STREQUAL "STATIC_LIBRARY")
    # Objects, not archives: --exclude-libs below would hide our own symbols as well.
    target_sources(qudag PRIVATE $<TARGET_OBJECTS:qudag_${module}>)
  endif()
  get_target_property(third_party qudag_${module} QUDAG_THIRD_PARTY)
  target_link_libraries(qudag PRIVATE ${third_party})
endforeach()
target_link_libraries(qudag PRIVATE Threads::Threads)
target_link_options(qudag PRIVATE -Wl,--exclude-libs,ALL -Wl,--gc-sections -Wl,-z,relro,-z,now)
target_include_directories(qudag INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(qudag INTERFACE cxx_std_23)
# The number of the binary interface: raised when a program that was linked with the library before
# would not work with it. The package of the library has it in its name (packaging/debian).
set(QUDAG_ABI 1)
set_target_properties(qudag PROPERTIES
  LINKER_LANGUAGE CXX VERSION ${QUDAG_ABI}.0.0 SOVERSION ${QUDAG_ABI})

# --- cmake --install -------------------------------------------------------------------------------
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/qudag")
install(TARGETS qudag EXPORT qudag LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
qudag_install_binary(qudag "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/qudag" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h")
install(EXPORT qudag NAMESPACE qudag:: FILE qudagConfig.cmake DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/qudagConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/qudagConfigVersion.cmake" DESTINATION "${package_dir}")
