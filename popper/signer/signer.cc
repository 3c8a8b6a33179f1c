// SPDX-License-Identifier: MIT
// Start of the signer.
// Runs as: tls-user, without files.
#include "popper/signer/signer.h"

#include <array>

#include "common/ipc/log_sink.h"
#include "common/priv/drop.h"
#include "common/priv/sandbox.h"
#include "popper/signer/rights.h"
#include "popper/signer/service.h"

namespace qpop::signer {

base::Status give_up_rights(std::span<const int> keep, const std::string& empty_root, uid_t uid, gid_t gid) {
  // While there is a root: no configuration file of OpenSSL's, and nothing to be loaded later.
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, nullptr);
  priv::close_all_except(keep);
  if (auto done = priv::close_standard_streams(); !done) return done;
  if (!empty_root.empty()) {
    if (auto done = priv::enter_empty_root(empty_root); !done) return done;
  }
  if (auto done = priv::drop_to(uid, gid); !done) return done;
  if (auto done = priv::harden_process(); !done) return done;
  // The size of files is not limited: a profile is written to memory that counts as a file.
  for (auto done : {priv::limit_resources({}), priv::restrict_files_to({}), priv::restrict_calls_of_file_role()}) {
    if (!done && done.error().kind() != base::ErrorKind::unsupported) return done;
  }
  return {};
}

int run_signer(Start start) {
  ipc::log_to(start.monitor);
  if (auto done = give_up_rights(std::array{start.monitor.fd()}, start.empty_root, start.uid, start.gid); !done) {
    log::fatal("signer: {}", done.error().message());
    return 3;
  }
  Service service{start};
  return service.run();
}

}  // namespace qpop::signer
