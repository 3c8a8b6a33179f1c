// SPDX-License-Identifier: MIT
// The dotlock as the monitor makes it: we ask, without naming a path, and it acts in the spool folder that we have no right in.
// Runs as: the owner of the mail.
#pragma once

#include "common/ipc/messages.h"
#include "common/files/dotlock.h"

namespace qpop::maildrop {

class MonitorDotlock final : public files::Dotlock {
 public:
  explicit MonitorDotlock(const ipc::Channel& monitor) : monitor_(monitor) {}

  base::Result<bool> try_lock(bool kernel_locks_held) override {
    auto reply = ask(ipc::DotlockOp::lock, kernel_locks_held);
    if (!reply) return reply.error();
    if (reply->result == ipc::DotlockResult::failed) return base::Error::from_errno(reply->errno_value, "dotlock");
    return reply->result == ipc::DotlockResult::done;
  }
  base::Status touch() override { return check(ask(ipc::DotlockOp::touch, true)); }
  base::Status unlock() override { return check(ask(ipc::DotlockOp::unlock, true)); }

 private:
  // The monitor never waits for a lock; this long only when it is busy.
  static constexpr int kPatienceMs = 30'000;

  base::Result<ipc::DotlockReply> ask(ipc::DotlockOp op, bool kernel_locks_held) {
    ipc::DotlockRequest request;
    request.op = op;
    request.kernel_locks_held = kernel_locks_held ? 1 : 0;
    if (auto sent = monitor_.send(request); !sent) return sent.error();
    auto frame = monitor_.receive(kPatienceMs);
    ipc::DotlockReply reply;
    if (!frame) return frame.error();
    if (!frame->read(reply)) return base::Error{base::ErrorKind::malformed, "answer of the monitor"};
    return reply;
  }
  static base::Status check(const base::Result<ipc::DotlockReply>& reply) {
    if (!reply) return reply.error();
    if (reply->result == ipc::DotlockResult::done) return {};
    return base::Error::from_errno(reply->errno_value, "dotlock");
  }
  const ipc::Channel& monitor_;
};

}  // namespace qpop::maildrop
