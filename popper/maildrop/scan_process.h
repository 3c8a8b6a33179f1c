// SPDX-License-Identifier: MIT
// A process that scans the second half of a large spool while the maildrop process scans the first.
//
// It is forked before the maildrop process gives up the right to fork, so only where the spool is large and its index will not do. Its rights
// are those of the maildrop process, without the state folder. It ends with its parent, at the latest.
// Runs as: the owner of the mail.
#pragma once

#include <sys/types.h>

#include <memory>

#include "common/ipc/channel.h"
#include "common/spool/split_scan.h"

namespace qpop::maildrop {

class ScanProcess final : public spool::ScanHelper {
 public:
  /// nullptr: it is not worth it, or cannot be had.
  static std::unique_ptr<ScanProcess> start(const spool::MaildropPaths& paths);

  bool begin(const spool::ScanPart& part) override;
  base::Result<std::vector<listing::Record>> finish(const std::function<void()>& meanwhile) override;
  void dismiss() override { channel_.close(); }

 private:
  explicit ScanProcess(ipc::Channel channel) : channel_(std::move(channel)) {}

  ipc::Channel channel_;
  spool::ScanPart part_;
};

}  // namespace qpop::maildrop
