# SPDX-License-Identifier: MIT
# Files that only the Debian package has: copyright, its own list of changes, and what lintian is told.
find_program(shlibdeps dpkg-shlibdeps)
if(NOT shlibdeps)
  message(FATAL_ERROR "dpkg-shlibdeps is missing (package dpkg-dev): the package would not ask for its libraries")
endif()
set(root "${CPACK_TEMPORARY_INSTALL_DIRECTORY}")
set(doc "${root}/usr/share/doc/qpopper")
file(COPY "${CPACK_QPOP_SOURCE}/conf/debian/copyright" DESTINATION "${doc}")
execute_process(COMMAND gzip -9nc "${CPACK_QPOP_SOURCE}/conf/debian/changelog" OUTPUT_FILE "${doc}/changelog.Debian.gz" COMMAND_ERROR_IS_FATAL ANY)
file(MAKE_DIRECTORY "${root}/usr/share/lintian/overrides")
configure_file("${CPACK_QPOP_SOURCE}/conf/debian/lintian-overrides" "${root}/usr/share/lintian/overrides/qpopper" COPYONLY)
