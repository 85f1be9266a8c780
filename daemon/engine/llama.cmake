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
