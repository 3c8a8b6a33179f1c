// SPDX-License-Identifier: MIT
// The maildrop as the session sees it: a read-only spool descriptor, its scan listing, and what is marked as deleted.
//
// The session never parses mail. Before any octet of a message is sent, the spool is compared with what was scanned; a spool that
// another program rewrote is noticed and nothing of it is sent.
// Runs as: popnet, without any right.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/listing/listing.h"

namespace qpop::session {

class MaildropView {
 public:
  /// Takes the descriptors that the maildrop role sent. `spool` may be invalid when there is no mail.
  /// Errors: malformed, io.
  static base::Result<MaildropView> open(base::UniqueFd session_lock, base::UniqueFd listing, base::UniqueFd spool);

  /// The first message is a mailer's own: it has no number, and cannot be deleted. To be said before anything else is asked.
  void hide_first();
  /// So have those that read_hidden() finds in `fd`: they were deleted and are still in the spool. Errors: malformed, io.
  base::Status hide(int fd);
  [[nodiscard]] std::uint32_t hidden_count() const { return static_cast<std::uint32_t>(hidden_.size()); }
  [[nodiscard]] std::uint32_t count() const { return reader_.count() - hidden_count(); }
  /// With the hidden ones: as many bits as an update needs.
  [[nodiscard]] std::uint32_t listed_count() const { return reader_.count(); }
  [[nodiscard]] std::uint32_t left_count() const { return count() - deleted_count_; }
  [[nodiscard]] std::uint64_t left_octets() const { return reader_.header().total_octets - hidden_octets_ - deleted_octets_; }
  [[nodiscard]] std::uint32_t deleted_count() const { return deleted_count_; }
  [[nodiscard]] std::uint64_t deleted_octets() const { return deleted_octets_; }
  [[nodiscard]] std::uint32_t last_accessed() const { return last_accessed_; }

  /// `index` counts from 0 in all functions, visible messages only.
  [[nodiscard]] bool is_deleted(std::uint32_t index) const { return has_bit(deleted_, place_of(index)); }
  [[nodiscard]] bool was_retrieved(std::uint32_t index) const { return !retrieved_.empty() && has_bit(retrieved_, place_of(index)); }
  /// Errors: malformed, io.
  base::Status mark_deleted(std::uint32_t index);
  void note_accessed(std::uint32_t index) { last_accessed_ = std::max(last_accessed_, index + 1); }
  void note_retrieved(std::uint32_t index);
  /// As deleted_bits(); empty when none was.
  [[nodiscard]] const std::vector<std::uint8_t>& retrieved_bits() const { return retrieved_; }
  void reset();

  [[nodiscard]] base::Result<listing::Message> message(std::uint32_t index) const;
  [[nodiscard]] base::Status records(std::uint32_t first, std::span<listing::Record> out) const;

  /// Reads content octets of `message` from `offset` (on-disk, from the start of the content) and makes sure afterwards that they
  /// are those that were scanned. Returns octets read, 0 at the end of the content. Errors: changed, io.
  base::Result<std::size_t> read(const listing::Message& message, std::uint64_t offset, std::span<char> out);

  /// While the client is busy with the message that was retrieved last: reads the beginning of the one behind it, where messages are
  /// retrieved one after the other. read() looks at it as at octets that it has read itself.
  void read_ahead();

  /// Before an update: as long as anybody reads the spool, the maildrop process gets no lease on it.
  void stop_reading() { spool_.reset(); }

  [[nodiscard]] int listing() const { return listing_.get(); }
  [[nodiscard]] int session_lock() const { return session_lock_.get(); }
  [[nodiscard]] const digest::Digest16& records_hash() const { return reader_.header().records_hash; }
  [[nodiscard]] const std::vector<std::uint8_t>& deleted_bits() const { return deleted_; }

 private:
  MaildropView(base::UniqueFd session_lock, base::UniqueFd listing, base::UniqueFd spool, listing::ListingReader reader);
  [[nodiscard]] base::Status check_unchanged(const listing::Message& message);
  [[nodiscard]] base::Status check_tail() const;
  /// Place in the listing of a visible message.
  [[nodiscard]] std::uint32_t place_of(std::uint32_t index) const;
  static bool has_bit(const std::vector<std::uint8_t>& bits, std::uint32_t at) { return ((unsigned{bits[at / 8]} >> (at % 8)) & 1U) != 0; }
  static void set_bit(std::vector<std::uint8_t>& bits, std::uint32_t at) { bits[at / 8] = static_cast<std::uint8_t>(bits[at / 8] | 1U << (at % 8)); }

  /// What read_ahead() has read.
  struct Ahead {
    std::uint32_t index = 0;
    listing::Message message;
    listing::SpoolIdentity trusted;  ///< when it was read
    std::size_t size = 0;
  };
  static constexpr unsigned kRunBeforeAhead = 2;  ///< so many messages one behind the other
  static constexpr std::size_t kMostAhead = 64UL * 1024;

  base::UniqueFd session_lock_;
  base::UniqueFd listing_;
  base::UniqueFd spool_;
  listing::ListingReader reader_;
  listing::SpoolIdentity trusted_;  ///< the spool as it was when it was last found to hold what was scanned
  bool written_since_scan_ = false;
  std::vector<std::uint8_t> deleted_;
  std::vector<std::uint8_t> retrieved_;  ///< empty until the first is
  std::vector<std::uint32_t> hidden_;  ///< places in the listing, ascending
  std::uint64_t hidden_octets_ = 0;
  std::uint32_t deleted_count_ = 0;
  std::uint64_t deleted_octets_ = 0;
  std::uint32_t last_accessed_ = 0;
  std::uint32_t behind_retrieved_ = 0;  ///< index of the message behind the one that was retrieved last
  unsigned run_ = 0;                    ///< of messages retrieved one behind the other
  std::optional<Ahead> ahead_;
  std::vector<char> ahead_octets_;  ///< empty until something is read ahead
};

}  // namespace qpop::session
