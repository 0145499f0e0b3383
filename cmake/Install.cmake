# qudag_install_binary(<target> <dir>): installed stripped; what a debugger needs lies beside it in
# <dir>/.debug, where gdb looks by itself. `--target installed` builds all that is installed.
add_custom_target(installed)

function(qudag_install_binary target dir)
  add_dependencies(installed ${target})
  install(CODE "
    set(file \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${dir}/$<TARGET_FILE_NAME:${target}>\")
    get_filename_component(name \"\${file}\" NAME)
    get_filename_component(debug \"\${file}\" DIRECTORY)
    string(APPEND debug \"/.debug\")
    file(MAKE_DIRECTORY \"\${debug}\")
    macro(objcopy)
      execute_process(COMMAND \"${CMAKE_OBJCOPY}\" \${ARGV} COMMAND_ERROR_IS_FATAL ANY)
    endmacro()
    objcopy(--only-keep-debug \"\${file}\" \"\${debug}/\${name}.debug\")
    objcopy(--strip-unneeded \"\${file}\")
    objcopy(\"--add-gnu-debuglink=\${debug}/\${name}.debug\" \"\${file}\")")
endfunction()
