# Read by CMake behind llama.cpp's own project() (CMAKE_PROJECT_INCLUDE in .cargo/config.toml).
#
# llama-cpp-2 asks its build script for `common`, what llama.cpp's own programs share, whether it is wanted or not, and half of the time
# that llama.cpp takes goes into it. Nothing here calls it, nor the HTTP server and client that it brings along: their libraries are made of
# nothing. Other projects have no such targets.
function(leave_out_what_is_not_called)
  set(nothing "${CMAKE_BINARY_DIR}/nothing.cpp")
  foreach(target llama-common cpp-httplib)
    if(TARGET ${target})
      file(WRITE "${nothing}" "")
      set_property(TARGET ${target} PROPERTY SOURCES "${nothing}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL leave_out_what_is_not_called)

# Where Cargo's profile does not ask for all (OPT_LEVEL; the package's does), what lays out the graphs of a hundred architectures and what
# loads and saves their files is optimised little, which is most of what is compiled here. What runs for each token is optimised as ever:
# ggml, which computes, whose directory this leaves alone, and these.
function(optimise_what_counts)
  if(NOT TARGET llama OR NOT "$ENV{OPT_LEVEL}" MATCHES "^[012]$")
    return()
  endif()
  target_compile_options(llama PRIVATE -O1)
  foreach(name batch context grammar graph kv-cache kv-cache-iswa memory-hybrid memory-recurrent sampler vocab)
    list(APPEND hot llama-${name}.cpp)
  endforeach()
  get_target_property(place llama SOURCE_DIR)
  foreach(source ${hot} unicode.cpp unicode-data.cpp)
    if(NOT EXISTS "${place}/${source}")
      message(FATAL_ERROR "llama.cpp has no src/${source} any more; daemon/engine/llama.cmake names what of it runs for each token")
    endif()
    set_source_files_properties("${place}/${source}" TARGET_DIRECTORY llama PROPERTIES COMPILE_OPTIONS -O3)
  endforeach()
endfunction()
cmake_language(DEFER CALL optimise_what_counts)

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
