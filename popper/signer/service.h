// SPDX-License-Identifier: MIT
// The signer at work: files from the monitor become profiles, digests from sessions become signatures.
// Runs as: tls-user, without files.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/ipc/messages.h"
#include "popper/signer/pairs.h"
#include "popper/signer/session_cache.h"
#include "popper/signer/signer.h"

namespace qpop::signer {

/// Keys of one profile. A session goes on signing with those of the profile it was given, whatever has been exchanged since.
struct Generation {
  std::uint32_t number = 0;
  std::vector<std::shared_ptr<EVP_PKEY>> keys;
};

class Service {
 public:
  explicit Service(Start& start);
  int run();

 private:
  struct Client {
    ipc::Channel channel;
    std::shared_ptr<const Generation> generation;
    unsigned signatures = 0;
    unsigned stored = 0;
    unsigned looked_up = 0;
  };
  struct Slot {
    std::string name;
    std::optional<Pair> pair;
    std::vector<tls::Certificate> authorities;
    bool refused = false;
  };

  void on_monitor();
  void on_pair_file(const ipc::PairFile& message, ipc::Frame& frame);
  void read_slot(Slot& slot, const ipc::PairFile& message, ipc::Frame& frame);
  void make_profile();
  void attach(const ipc::AttachToSigner& message, ipc::Frame& frame);
  void on_client(int fd);
  [[nodiscard]] bool answer(Client& client, const ipc::Frame& frame);
  [[nodiscard]] static bool sign(const Client& client, const ipc::SignDigest& request);
  void warn_daily();
  void watch(int fd);
  [[nodiscard]] int wait_ms();

  Start& start_;
  base::SystemClock clock_;
  base::UniqueFd epoll_;
  std::vector<Slot> slots_;
  std::vector<std::shared_ptr<const Generation>> generations_;  ///< the last few, oldest first
  std::uint32_t next_generation_ = 1;
  std::map<int, Client> clients_;
  SessionCache sessions_;
  std::int64_t warned_ms_ = 0;
  bool ciphers_refused_ = false;
  bool retired_ = false;
  bool monitor_gone_ = false;
};

}  // namespace qpop::signer
