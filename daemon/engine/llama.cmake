# Read by CMake behind llama.cpp's own project() (CMAKE_PROJECT_INCLUDE in .cargo/config.toml).
#
# llama-cpp-2 asks its build script for `common`, what llama.cpp's own programs share, whether it is wanted or not, and half of the time
# that llama.cpp takes goes into it. Nothing here calls it: its library is made of nothing. Other projects have no such target.
function(leave_out_common)
  if(TARGET llama-common)
    set(nothing "${CMAKE_BINARY_DIR}/nothing.cpp")
    file(WRITE "${nothing}" "")
    set_property(TARGET llama-common PROPERTY SOURCES "${nothing}")
  endif()
endfunction()
cmake_language(DEFER CALL leave_out_common)

# With the engine's feature `dynamic-backends`, llama-cpp-2 has the folder in which it is compiled baked in, as the first in which the
# backends are looked for. That is nobody's on another machine, whoever can make it there could have code run, and no two builds of it
# would be the same: it is replaced by the folder that the package puts them into, of the environment's GGML_LIBEXEC_DIR.
function(bake_in_the_packages_folder)
  if(TARGET ggml AND GGML_BACKEND_DIR)
    foreach(property COMPILE_DEFINITIONS INTERFACE_COMPILE_DEFINITIONS)
      get_target_property(definitions ggml ${property})
      list(FILTER definitions EXCLUDE REGEX "^GGML_BACKEND_DIR=")
      set_property(TARGET ggml PROPERTY ${property} ${definitions} "GGML_BACKEND_DIR=\"${GGML_LIBEXEC_DIR}\"")
    endforeach()
  endif()
endfunction()
cmake_language(DEFER CALL bake_in_the_packages_folder)
