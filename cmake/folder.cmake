# SPDX-License-Identifier: MIT
# qpop_folder(NAME SOURCES... USES...): the static library of one folder; USES repeats the include rule of that folder.
function(qpop_folder name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
  if(arg_SOURCES)
    add_library(qpop_${name} STATIC ${arg_SOURCES})
    target_link_libraries(qpop_${name} PUBLIC qpop_flags ${arg_USES})
  else()
    add_library(qpop_${name} INTERFACE)
    target_link_libraries(qpop_${name} INTERFACE qpop_flags ${arg_USES})
  endif()
endfunction()
