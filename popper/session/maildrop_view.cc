// SPDX-License-Identifier: MIT
// The maildrop as the session sees it.
// Runs as: popnet, without any right.
#include "popper/session/maildrop_view.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace qpop::session {

namespace {

using base::Error;
using base::ErrorKind;

std::int64_t nanoseconds(const timespec& time) { return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec; }

base::Result<listing::SpoolIdentity> identify(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno, "fstat");
  return listing::SpoolIdentity{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), nanoseconds(status.st_mtim),
                                nanoseconds(status.st_ctim)};
}

/// Octets read, short only at the end of the file.
base::Result<std::size_t> read_fully(int fd, std::span<char> out, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "pread");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

base::Status check_hash(int fd, std::uint64_t offset, std::size_t size, std::uint64_t want, const char* what) {
  std::array<char, listing::kTailSpan> bytes;
  const auto got = read_fully(fd, std::span{bytes}.first(size), offset);
  if (!got) return got.error();
  if (*got != size || digest::xxh3_64({bytes.data(), size}) != want) return Error{ErrorKind::changed, what};
  return {};
}

}  // namespace

MaildropView::MaildropView(base::UniqueFd session_lock, base::UniqueFd listing, base::UniqueFd spool, listing::ListingReader reader)
    : session_lock_(std::move(session_lock)),
      listing_(std::move(listing)),
      spool_(std::move(spool)),
      reader_(reader),
      trusted_(reader.header().spool),
      deleted_((reader.count() + 7) / 8) {}

base::Result<MaildropView> MaildropView::open(base::UniqueFd session_lock, base::UniqueFd listing, base::UniqueFd spool) {
  auto reader = listing::ListingReader::open(listing.get());
  if (!reader) return reader.error();
  if (reader->count() > 0 && !spool.valid()) return Error{ErrorKind::malformed, "scan listing with messages but no spool"};
  return MaildropView{std::move(session_lock), std::move(listing), std::move(spool), *reader};
}

base::Status MaildropView::mark_deleted(std::uint32_t index) {
  const auto found = message(index);
  if (!found) return found.error();
  set_bit(deleted_, place_of(index));
  ++deleted_count_;
  deleted_octets_ += found->record.octets;
  note_accessed(index);
  return {};
}

void MaildropView::note_retrieved(std::uint32_t index) {
  if (retrieved_.empty()) retrieved_.resize(deleted_.size());
  set_bit(retrieved_, place_of(index));
  note_accessed(index);
  run_ = index == behind_retrieved_ ? run_ + 1 : 1;
  behind_retrieved_ = index + 1;
}

void MaildropView::hide_first() {
  const auto first = reader_.count() > 0 ? reader_.message(0) : base::Result<listing::Message>{Error{ErrorKind::limit, "no message"}};
  if (!first) return;
  if (!hidden_.empty() && hidden_.front() == 0) return;
  hidden_.insert(hidden_.begin(), 0);
  hidden_octets_ += first->record.octets;
}

base::Status MaildropView::hide(int fd) {
  auto hidden = listing::read_hidden(fd, reader_.header());
  if (!hidden) return hidden.error();
  hidden_ = std::move(hidden->numbers);
  hidden_octets_ = hidden->octets;
  return {};
}

std::uint32_t MaildropView::place_of(std::uint32_t index) const {
  // hidden_[k] - k visible messages stand before the k-th hidden one.
  std::size_t low = 0;
  for (std::size_t high = hidden_.size(); low < high;) {
    const std::size_t middle = low + (high - low) / 2;
    if (hidden_[middle] - middle <= index) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return index + static_cast<std::uint32_t>(low);
}

base::Status MaildropView::records(std::uint32_t first, std::span<listing::Record> out) const {
  if (hidden_.empty()) return reader_.records(first, out);
  if (first > count() || out.size() > count() - first) return Error{ErrorKind::limit, "no such message in the scan listing"};
  // A piece of the listing at a time, so that many hidden messages do not cost a system call each.
  std::array<listing::Record, 64> piece;
  std::uint32_t at = out.empty() ? 0 : place_of(first);
  auto hidden = std::ranges::lower_bound(hidden_, at);
  for (std::size_t done = 0; done < out.size();) {
    const auto size = std::min<std::uint32_t>(piece.size(), reader_.count() - at);
    if (auto read = reader_.records(at, std::span{piece}.first(size)); !read) return read;
    for (std::uint32_t i = 0; i < size && done < out.size(); ++i, ++at) {
      if (hidden != hidden_.end() && *hidden == at) {
        ++hidden;
      } else {
        out[done++] = piece.at(i);
      }
    }
  }
  return {};
}

void MaildropView::reset() {
  retrieved_.clear();
  std::ranges::fill(deleted_, std::uint8_t{0});
  deleted_count_ = 0;
  deleted_octets_ = 0;
  last_accessed_ = 0;
  run_ = 0;
}

/// The last octets that were scanned still stand where they stood; a rewrite that moved mail would have changed them.
base::Status MaildropView::check_tail() const {
  const auto& header = reader_.header();
  const std::uint64_t span = std::min(listing::kTailSpan, header.end);
  return check_hash(spool_.get(), header.end - span, static_cast<std::size_t>(span), header.tail_hash, "the end of the mail that was scanned differs");
}

base::Status MaildropView::check_unchanged(const listing::Message& message) {
  const auto now = identify(spool_.get());
  if (!now) return now.error();
  if (*now != trusted_) {
    // Somebody wrote. Mail that arrived behind our end is harmless; anything else is not.
    if (now->size < reader_.header().end) return Error{ErrorKind::changed, "the spool is shorter than it was"};
    if (auto tail = check_tail(); !tail) return tail;
    trusted_ = *now;
    written_since_scan_ = true;
  }
  if (!written_since_scan_) return {};
  const auto span = static_cast<std::size_t>(std::min<std::uint64_t>(listing::kHeadSpan, message.unit_length));
  return check_hash(spool_.get(), message.unit_offset, span, message.record.head_hash, "the beginning of the message differs");
}

base::Result<listing::Message> MaildropView::message(std::uint32_t index) const {
  if (ahead_ && ahead_->index == index) return ahead_->message;
  return reader_.message(place_of(index));
}

void MaildropView::read_ahead() {
  const std::uint32_t index = behind_retrieved_;
  if (run_ < kRunBeforeAhead || index >= count() || is_deleted(index) || (ahead_ && ahead_->index == index)) return;
  ahead_.reset();
  const auto found = message(index);
  if (!found) return;  // whoever asks for it is told
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(found->content_length, kMostAhead));
  ahead_octets_.resize(kMostAhead);
  const auto got = read_fully(spool_.get(), std::span{ahead_octets_}.first(wanted), found->content_offset);
  if (got && *got == wanted) ahead_ = Ahead{.index = index, .message = *found, .trusted = trusted_, .size = wanted};
}

base::Result<std::size_t> MaildropView::read(const listing::Message& message, std::uint64_t offset, std::span<char> out) {
  if (offset >= message.content_length) return std::size_t{0};
  const std::uint64_t left = message.content_length - offset;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, out.size()));
  if (offset == 0 && ahead_ && ahead_->message.content_offset == message.content_offset && ahead_->size == wanted && ahead_->trusted == trusted_) {
    std::memcpy(out.data(), ahead_octets_.data(), wanted);
    if (auto same = check_unchanged(message); !same) return same.error();
    if (ahead_->trusted == trusted_) return wanted;
  }
  // Read first, compare afterwards: what is in the buffer then is older than the comparison. When somebody wrote in between, the
  // buffer may hold either state, so it is read again under the state that was found good.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto before = trusted_;
    const auto got = read_fully(spool_.get(), out.first(wanted), message.content_offset + offset);
    if (!got) return got.error();
    if (auto same = check_unchanged(message); !same) return same.error();
    if (*got != wanted) return Error{ErrorKind::changed, "the spool is shorter than it was"};
    if (before == trusted_) return wanted;
  }
  return Error{ErrorKind::changed, "the spool is being written to all the time"};
}

}  // namespace qpop::session
