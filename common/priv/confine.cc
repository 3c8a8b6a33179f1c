// SPDX-License-Identifier: MIT
// Giving up rights in the order that works: each step needs what the next takes away.
// Runs as: root or the user who started the program, then the role's user.
#include "common/priv/confine.h"

#include "common/priv/drop.h"

namespace qpop::priv {

namespace {

base::Status tolerate(base::Status status) {
  if (!status && status.error().kind() == base::ErrorKind::unsupported) return {};
  return status;
}

}  // namespace

base::Status confine(const Confinement& confinement) {
  close_all_except(confinement.keep);
  if (auto done = close_standard_streams(); !done) return done;
  if (!confinement.empty_root.empty()) {
    if (auto done = enter_empty_root(confinement.empty_root); !done) return done;
  }
  if (auto done = drop_to(confinement.uid, confinement.gid); !done) return done;
  return harden_process();
}

base::Status wall_in(const Limits& limits, std::span<const int> folders, Calls calls) {
  prepare_filters();  // before no file can be written any more, not even one in memory
  if (auto done = tolerate(limit_resources(limits)); !done) return done;
  if (auto done = tolerate(restrict_files_to(folders)); !done) return done;
  switch (calls) {
    case Calls::session:
      return tolerate(restrict_calls_of_session());
    case Calls::file_role:
      return tolerate(restrict_calls_of_file_role());
  }
  return base::Error{base::ErrorKind::denied, "no such set of system calls"};
}

}  // namespace qpop::priv
