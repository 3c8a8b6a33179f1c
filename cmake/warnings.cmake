# SPDX-License-Identifier: MIT
# Warning set, hardening and instrumentation that every target of the tree is built with.
add_library(qpop_flags INTERFACE)
target_compile_options(qpop_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wnon-virtual-dtor
  -Woverloaded-virtual -Wold-style-cast -Wcast-qual -Wcast-align -Wnull-dereference -Wswitch-enum -Wundef
  -Wunused -Wimplicit-fallthrough)
option(QPOP_WERROR "Warnings are errors" ON)
if(QPOP_WERROR)
  target_compile_options(qpop_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(qpop_flags INTERFACE -Wlogical-op -Wduplicated-cond -Wduplicated-branches)
  if(CMAKE_BUILD_TYPE STREQUAL "Release" OR QPOP_SANITIZE)
    # GCC 12 reports null dereferences and overflows inside inlined library code that do not exist.
    target_compile_options(qpop_flags INTERFACE -Wno-null-dereference -Wno-stringop-overflow -Wno-restrict
                                                -Wno-maybe-uninitialized)
  endif()
endif()
target_include_directories(qpop_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(qpop_flags INTERFACE _GLIBCXX_ASSERTIONS QPOP_VERSION="${PROJECT_VERSION}")
target_compile_options(qpop_flags INTERFACE -fstack-protector-strong -fstack-clash-protection -fcf-protection)
target_link_options(qpop_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG -D_FORTIFY_SOURCE=2")
set(CMAKE_EXE_LINKER_FLAGS "${CMAKE_EXE_LINKER_FLAGS} -pie")
if(QPOP_SANITIZE)
  target_compile_options(qpop_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(qpop_flags INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(qpop_flags INTERFACE QPOP_SANITIZED=1)
else()
  target_compile_definitions(qpop_flags INTERFACE QPOP_SANITIZED=0)
endif()
if(QPOP_FUZZ)
  target_compile_options(qpop_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(QPOP_COVERAGE)
  target_compile_options(qpop_flags INTERFACE --coverage)
  target_link_options(qpop_flags INTERFACE --coverage)
endif()
