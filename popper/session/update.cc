// SPDX-License-Identifier: MIT
// QUIT and the UPDATE state: hands the messages marked as deleted to a maildrop process and passes its answer on.
// Runs as: popnet, without any right.
// Source: RFC 1939 section 6.
#include <algorithm>

#include "common/base/text.h"
#include "popper/session/dialogue.h"

namespace qpop::session {

namespace {
using base::Error;
using base::ErrorKind;

// The maildrop process gives up long before; a death closes its channel at once.
constexpr int kUpdateMs = 900'000;
// An update that is committed is answered at once when much is still to be moved; otherwise its end is waited for, so that a
// client that connects again at once, or looks at its spool, finds all done.
constexpr std::uint64_t kMuchOctets = 4UL * 1024 * 1024;
constexpr int kFinishMs = 2'000;
}  // namespace

void Dialogue::on_quit() {
  if (state_ == State::transaction && rules_.auto_delete != 0) {
    if (auto marked = mark_retrieved(); !marked) log::error("{}: auto-delete: {}", who(), marked.error().message());
  }
  if (state_ == State::transaction && maildrop_->deleted_count() > 0) {
    update();
  } else {
    if (state_ == State::authorization && has_user_) {
      log::warning("Possible probe of account {} from host {} ({})", base::escape_word(user_, 80), start_.client.view(), start_.client.view());
    }
    if (maildrop_) {
      (void)monitor_.send(make_report(), {}, false);
      give_up_maildrop();
    }
    sign_off();
  }
  if (state_ != State::done) finish(End::quit);
}

/// The lock goes before the answer, so that a client that reconnects at once does not find its own last session.
void Dialogue::give_up_maildrop() { maildrop_.reset(); }

ipc::SessionReport Dialogue::make_report() const {
  ipc::SessionReport report;
  report.deleted = maildrop_->deleted_count();
  report.deleted_octets = maildrop_->deleted_octets();
  report.left = maildrop_->left_count();
  report.left_octets = maildrop_->left_octets();
  return report;
}

void Dialogue::update() {
  const auto sent = monitor_.send(ipc::RequestUpdate{});
  auto frame = sent ? monitor_.receive(kUpdateMs) : base::Result<ipc::Frame>{sent.error()};
  ipc::UpdateChannel given;
  if (frame && frame->read(given) && frame->descriptors.size() == 1) {
    const ipc::Channel maildrop{std::move(frame->descriptors[0])};
    maildrop_->stop_reading();
    if (send_update(maildrop)) return conclude_update(maildrop);
  }
  err("[SYS/TEMP] The update could not be started; no message was removed");
  finish(End::failure);
}

bool Dialogue::send_update(const ipc::Channel& maildrop) {
  ipc::UpdateBegin begin;
  begin.records_hash = maildrop_->records_hash();
  begin.count = maildrop_->listed_count();
  const bool marks_read = rules_.honour_status != 0 && !maildrop_->retrieved_bits().empty();
  begin.has_retrieved = marks_read ? 1 : 0;
  const std::array<int, 2> fds{maildrop_->session_lock(), maildrop_->listing()};
  if (!maildrop.send(begin, fds)) return false;
  return send_bits(maildrop, maildrop_->deleted_bits()) && (!marks_read || send_bits(maildrop, maildrop_->retrieved_bits()));
}

bool Dialogue::send_bits(const ipc::Channel& maildrop, const std::vector<std::uint8_t>& bits) {
  for (std::size_t at = 0; at < bits.size(); at += ipc::UpdatePart::kBytes) {
    ipc::UpdatePart part;
    part.number = static_cast<std::uint32_t>(at / ipc::UpdatePart::kBytes);
    const auto size = std::min(ipc::UpdatePart::kBytes, bits.size() - at);
    std::copy_n(bits.begin() + static_cast<std::ptrdiff_t>(at), size, part.bits.begin());
    if (!maildrop.send(part)) return false;
  }
  return true;
}

void Dialogue::conclude_update(const ipc::Channel& maildrop) {
  auto frame = maildrop.receive(kUpdateMs);
  ipc::UpdateCommitted committed;
  ipc::UpdateDone done;
  ipc::MaildropFailed failed;
  const bool is_committed = frame && frame->read(committed);
  if (is_committed) frame = committed.moving < kMuchOctets ? maildrop.receive(kFinishMs) : Error{ErrorKind::busy, "goes on"};
  const auto report = make_report();
  if (frame) (void)maildrop.receive(kFinishMs);
  give_up_maildrop();
  // Neither finished nor failed: it goes on, or died and is recovered; the messages are gone either way.
  if (is_committed ? !frame || frame->read(done) : frame && frame->read(done)) {
    (void)monitor_.send(report, {}, false);
    return sign_off();
  }
  if (is_committed) {
    err("[SYS/TEMP] The deleted messages will be removed, but not all work is done; connect again later");
  } else if (!frame || !frame->read(failed)) {
    err("[SYS/TEMP] The update was interrupted; it will be completed or taken back when you connect again");
  } else if (failed.failure == ipc::MaildropFailure::changed) {
    err("[SYS/TEMP] The maildrop was changed by another program; no message was removed");
  } else if (failed.failure == ipc::MaildropFailure::no_space) {
    err("[SYS/TEMP] No room on disk for the update; no message was removed");
  } else if (failed.failure == ipc::MaildropFailure::locked) {
    err("[SYS/TEMP] The maildrop is locked by another program; no message was removed");
  } else {
    err("[SYS/TEMP] The update failed; deleted messages may not have been removed");
  }
  finish(End::failure);
}

}  // namespace qpop::session
