// SPDX-License-Identifier: MIT
// Start of the signer.
// Runs as: tls-user, without files.
#include "popper/signer/signer.h"

#include <array>

#include "common/ipc/log_sink.h"
#include "common/priv/confine.h"
#include "popper/signer/rights.h"
#include "popper/signer/service.h"

namespace qpop::signer {

base::Status give_up_rights(std::span<const int> keep, const std::string& empty_root, uid_t uid, gid_t gid) {
  // While there is a root: no configuration file of OpenSSL's, and nothing to be loaded later.
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, nullptr);
  if (auto done = priv::confine({.keep = keep, .empty_root = empty_root, .uid = uid, .gid = gid}); !done) return done;
  // The size of files is not limited: a profile is written to memory that counts as a file.
  return priv::wall_in({}, {}, priv::Calls::file_role);
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
