// SPDX-License-Identifier: MIT
// Start of the authenticator.
// Runs as: pop, owner of the database.
#include "popper/authenticator/authenticator.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <span>

#include "common/base/io.h"
#include "common/ipc/log_sink.h"
#include "common/priv/confine.h"
#include "popper/authenticator/rights.h"
#include "popper/authenticator/service.h"

namespace qpop::authenticator {

namespace {

/// The file when there is one that works; else memory, which is as good until this process ends.
base::Result<Penalties> open_penalties(Start& start) {
  const auto base_ms = start.failed_login_delay_s * 1000;
  if (start.penalties.valid()) {
    auto opened = Penalties::open(std::move(start.penalties), base_ms);
    if (opened) return opened;
    log::warning("{}; penalties are kept in memory", opened.error().at("penalties of state-dir").message());
  }
  auto memory = base::make_memory_file("penalties");
  return memory ? Penalties::open(std::move(*memory), base_ms) : memory.error();
}

}  // namespace

base::Status give_up_rights(std::span<const int> keep, const std::string& database, uid_t uid, gid_t gid) {
  if (auto done = priv::confine({.keep = keep, .uid = uid, .gid = gid}); !done) return done;
  // LMDB opens the database and its lock file by name, so their folder stays reachable, for this uid's rights only.
  const auto slash = database.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : database.substr(0, slash);
  const base::UniqueFd fd{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid()) return base::Error::from_errno(errno, "open").at("folder", folder);
  const std::array<int, 1> folders{fd.get()};
  return priv::wall_in({}, folders, priv::Calls::file_role);
}

int run_authenticator(Start start) {
  ipc::log_to(start.monitor);
  const std::array<int, 3> keep{start.monitor.fd(), start.key.get(), start.penalties.get()};
  if (auto done = give_up_rights(keep, start.database, start.uid, start.gid); !done) {
    log::fatal("authenticator: {}", done.error().message());
    return 3;
  }
  auto penalties = open_penalties(start);
  if (!penalties) {
    log::fatal("authenticator: {}", penalties.error().message());
    return 3;
  }
  Service service{start, std::move(*penalties)};
  return service.run();
}

}  // namespace qpop::authenticator
