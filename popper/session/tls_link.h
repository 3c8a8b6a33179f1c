// SPDX-License-Identifier: MIT
// TLS of one session process: the library, and the signer at the other end of a channel, which holds keys and sessions that may be resumed.
// Runs as: popnet, without any right; prepare() in the monitor, before it forks, so that all sessions share what it made.
#pragma once

#include <memory>
#include <optional>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/messages.h"
#include "common/tls/server.h"

namespace qpop::session {

class TlsLink {
 public:
  TlsLink() = default;
  TlsLink(const TlsLink&) = delete;
  TlsLink& operator=(const TlsLink&) = delete;

  /// What needs no certificate; nothing the second time. Errors  io: of the library.
  [[nodiscard]] base::Status prepare();
  /// The profile is read by configure(): a session that stays in clear has no use for it.
  void take_profile(base::UniqueFd profile, ipc::Channel signer);
  /// After prepare() and take_profile(); nothing the second time. Errors  malformed, unsupported, io.
  [[nodiscard]] base::Status configure();
  /// After configure(). `socket` must outlive what is returned, as must this.
  [[nodiscard]] base::Result<std::unique_ptr<tls::Connection>> connect(int socket);
  /// No further handshake will follow.
  void close() {
    profile_.reset();
    signer_.close();
  }

 private:
  [[nodiscard]] base::Result<std::string> sign(const tls::SignRequest& request) const;
  void store(std::string_view id, std::string_view session) const;
  [[nodiscard]] std::string find(std::string_view id, bool once) const;

  base::UniqueFd profile_;  ///< until it was read
  bool configured_ = false;
  ipc::Channel signer_;
  std::optional<tls::Server> server_;
};

}  // namespace qpop::session
