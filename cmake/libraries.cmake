# SPDX-License-Identifier: MIT
# The libraries of others that the suite links, as qpop::NAME.
#
# popper forks two processes for a login, and what a fork and an exit cost grows with the number of mapped segments: a shared library has five.
# So the small libraries go into the programs. OpenSSL, libidn, PAM and libc stay shared, so that their security updates count without a build.
if(QPOP_SANITIZE OR QPOP_COVERAGE OR QPOP_FUZZ)
  set(default OFF)  # the runtimes of instruments want shared libraries
else()
  set(default ON)
endif()
option(QPOP_STATIC "Put small libraries into the programs (where a static library is installed)" ${default})

find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options unit_test_framework)
find_package(fmt 9 REQUIRED)
find_package(tl-expected REQUIRED)
pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)
pkg_check_modules(LIBIDN REQUIRED IMPORTED_TARGET libidn)
pkg_check_modules(LIBCRYPT REQUIRED IMPORTED_TARGET libcrypt)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(GSASL REQUIRED IMPORTED_TARGET libgsasl)  # tests only: an independent peer
find_path(QPOP_PAM_HEADERS security/pam_appl.h REQUIRED)    # the library is loaded by the process that asks it
find_library(QPOP_GDBM gdbm REQUIRED)                       # no pkg-config file in Debian 12

# qpop_library(NAME SHARED [ARCHIVE]): qpop::NAME is the static library ARCHIVE where that is wanted and installed, else SHARED.
function(qpop_library name shared)
  set(archive)
  add_library(qpop_from_${name} INTERFACE)
  add_library(qpop::${name} ALIAS qpop_from_${name})
  if(QPOP_STATIC AND ARGC GREATER 2)
    find_library(QPOP_${name}_ARCHIVE ${ARGV2})
    set(archive ${QPOP_${name}_ARCHIVE})
  endif()
  if(archive)
    target_link_libraries(qpop_from_${name} INTERFACE ${archive})
    if(TARGET ${shared})
      target_include_directories(qpop_from_${name} SYSTEM INTERFACE $<TARGET_PROPERTY:${shared},INTERFACE_INCLUDE_DIRECTORIES>)
    endif()
  else()
    target_link_libraries(qpop_from_${name} INTERFACE ${shared})
  endif()
endfunction()

qpop_library(lmdb PkgConfig::LMDB liblmdb.a)
qpop_library(idn PkgConfig::LIBIDN)
qpop_library(crypt PkgConfig::LIBCRYPT libcrypt.a)
qpop_library(nettle PkgConfig::NETTLE libnettle.a)
qpop_library(seccomp PkgConfig::SECCOMP libseccomp.a)
qpop_library(xxhash PkgConfig::XXHASH libxxhash.a)
qpop_library(gdbm ${QPOP_GDBM})  # its licence is the GPL: not a part of our binaries
qpop_library(program_options Boost::program_options libboost_program_options.a)
if(QPOP_STATIC AND fmt_VERSION VERSION_GREATER_EQUAL 9 AND fmt_VERSION VERSION_LESS 10)
  add_library(qpop_fmt STATIC cmake/fmt_library.cc)
  target_compile_features(qpop_fmt PUBLIC cxx_std_20)
  target_link_libraries(qpop_fmt PRIVATE qpop_flags)  # hardened as the rest
  qpop_library(fmt qpop_fmt)
else()
  qpop_library(fmt fmt::fmt)
endif()

# qpop_program(NAME): what every program of the suite is linked with beside its own folders.
function(qpop_program name)
  if(QPOP_STATIC)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
endfunction()
