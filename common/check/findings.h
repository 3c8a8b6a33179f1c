// SPDX-License-Identifier: MIT
// What can be wrong with a spool: one table, from which popcheck prints, explains and makes JSON, and popper names what it met.
//
// The names are stable: scripts and log watchers may depend on them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qpop::check {

/// note: worth knowing, all works. warning: damage or doubt that stays in its place. error: mail is not served, or not as it was sent.
enum class Severity : std::uint8_t { note, warning, error };

enum class Id : std::uint8_t {
  foreign_start,
  missing_postmark,
  damaged_postmark,
  glued_message,
  glued_postmark,
  lost_postmark,
  split_message,
  doubtful_boundary,
  no_header,
  damaged_header,
  nul_run,
  nul_start,
  nul_tail,
  nul_octets,
  truncated,
  no_final_newline,
  no_final_blank,
  mime_open,
  wrong_length,
  useless_length,
  length_covers,
  duplicate,
  mixed_line_ends,
  crlf,
  internal_data,
  mmdf_in_mbox,
  mmdf_between,
  mmdf_unclosed,
  mmdf_damaged,
  unreadable,
  wrong_owner,
  wrong_mode,
  wrong_group,
  hard_link,
  not_a_file,
  holes,
  stale_lock,
  temporary_drop,
  left_journal,
  saved_journal,
  stale_index,
  count,
};

struct Row {
  Id id;
  std::string_view name;
  Severity severity;
  std::string_view title;
  std::string_view reason;
  std::string_view repair;  ///< what --repair does
};

inline constexpr std::array<Row, static_cast<std::size_t>(Id::count)> kTable{{
    {Id::foreign_start, "foreign-start", Severity::error, "bytes before the first message",
     "The spool begins with something that is neither a From_ line nor an MMDF separator, so no message of it is served.",
     "puts a message in front that holds these bytes (quarantine), so that all others are served"},
    {Id::missing_postmark, "missing-postmark", Severity::error, "the first From_ line is missing",
     "The spool begins with the header of a message, without the From_ line that starts one; no message of it is served.",
     "makes the From_ line anew from Return-Path or From, and Received or Date"},
    {Id::damaged_postmark, "damaged-postmark", Severity::error, "damaged From_ line",
     "The line stands where a message starts and a header follows, but it is no valid From_ line; the server takes it for text of the message before.",
     "puts a valid line in its place, with what can be read of it; the rest comes from the header. The old line goes to the quarantine"},
    {Id::glued_message, "glued-message", Severity::error, "no empty line before a From_ line",
     "A valid From_ line with a header behind it follows without the empty line that must separate two messages; they are served as one.",
     "inserts the empty line"},
    {Id::glued_postmark, "glued-postmark", Severity::error, "From_ line in the middle of a line",
     "The last line of a message has no end: the From_ line of the next one stands behind it, and both are served as one.",
     "inserts the end of the line and an empty line"},
    {Id::lost_postmark, "lost-postmark", Severity::error, "the From_ line of a message is lost",
     "A header begins behind bytes that were lost or are of a foreign form, where the From_ line must have been; the message is served as part of the one before.",
     "makes the From_ line anew from Return-Path or From, and Received or Date"},
    {Id::split_message, "split-message", Severity::error, "a line of a message looks like a From_ line and splits it",
     "The MIME part that was open before the line ends behind it, so the line is text of one message; it is served as two.",
     "quotes the line with > as the delivery agent should have done"},
    {Id::doubtful_boundary, "doubtful-boundary", Severity::warning, "From_ line without a header behind it",
     "What follows the From_ line is text and no header: it may be a line of the message before, which is then served as two.",
     "nothing, unless asked: --aggressive or --ask quotes the line with >"},
    {Id::no_header, "no-header", Severity::note, "message without a header",
     "An empty line or nothing follows the From_ line.", "nothing"},
    {Id::damaged_header, "damaged-header", Severity::warning, "header that is cut or damaged",
     "The header of the message holds NUL octets or a line that is none of a header before it ends.",
     "nothing: what is lost cannot be made up; the message is served as it is, until its owner deletes it"},
    {Id::nul_run, "nul-run", Severity::warning, "a run of NUL octets",
     "Such runs are blocks that were never written: the system crashed, or a file server lost them. What stood there is gone.",
     "nothing: the place stays as a mark of what is missing; the message is served as it is, until its owner deletes it"},
    {Id::nul_start, "nul-start", Severity::error, "NUL octets before the first message",
     "The beginning of the spool was never written or is lost, so no message of it is served.", "moves the NUL octets to the quarantine"},
    {Id::nul_tail, "nul-tail", Severity::error, "NUL octets at the end",
     "The spool was made longer but the mail was not written; what is delivered next would be glued to them.",
     "moves the NUL octets to the quarantine"},
    {Id::nul_octets, "nul-octets", Severity::note, "single NUL octets", "Some messages hold NUL octets; they are sent as they are.", "nothing"},
    {Id::truncated, "truncated", Severity::warning, "the last message is cut",
     "The spool ends inside a header or an encoded part: the delivery was interrupted, or the end is lost.",
     "ends the line and adds an empty one, so that the next message is not glued to it; what is missing cannot be made up"},
    {Id::no_final_newline, "no-final-newline", Severity::warning, "no end of line at the end",
     "The last line has no end; a delivery agent that does not look would glue the next message to it.",
     "adds the end of the line and an empty line"},
    {Id::no_final_blank, "no-final-blank", Severity::note, "no empty line at the end",
     "The last message has no empty line behind it; most delivery agents add one before they append.", "nothing"},
    {Id::mime_open, "mime-open", Severity::note, "message whose MIME parts do not end",
     "The closing delimiter of the message is missing: it may be cut, or was sent so.", "nothing"},
    {Id::wrong_length, "wrong-length", Severity::warning, "wrong Content-Length",
     "In this spool Content-Length counts the octets of each body, but not here; programs that go by it would lose the next boundary.",
     "corrects the number where both ends of the body are certain"},
    {Id::useless_length, "useless-length", Severity::note, "Content-Length fields that say nothing",
     "They do not match the bodies; this spool is not of a dialect that counts, and the server ignores them.", "nothing"},
    {Id::length_covers, "length-covers", Severity::note, "From_ lines inside a counted body",
     "Content-Length leads exactly to a boundary, so the From_ lines before it are text of the message.", "nothing"},
    {Id::duplicate, "duplicate", Severity::warning, "message that stands here twice",
     "A message of the same octets, From_ line and header included, stands further in front: mostly a move that a crash interrupted.",
     "nothing, unless asked: --aggressive or --ask moves the second one to the quarantine"},
    {Id::mixed_line_ends, "mixed-line-ends", Severity::note, "lines that end with CR LF and lines that end with LF",
     "Two programs wrote the spool, or it came from another system; the server sends CR LF in both cases.", "nothing"},
    {Id::crlf, "crlf", Severity::note, "lines end with CR LF", "The spool came from another system; it is served as usual.", "nothing"},
    {Id::internal_data, "internal-data", Severity::note, "folder internal data",
     "A message that another mail server keeps for its own use.", "nothing"},
    {Id::mmdf_in_mbox, "mmdf-in-mbox", Severity::error, "MMDF separator in an mbox",
     "A message in MMDF form stands in an mbox; it is served as part of the one before.",
     "makes a From_ line in place of the opening separator; both separators go to the quarantine"},
    {Id::mmdf_between, "mmdf-between", Severity::error, "bytes between two MMDF messages",
     "A separator is missing, or a message in mbox form was appended; the server refuses the whole spool.", "inserts the separators"},
    {Id::mmdf_unclosed, "mmdf-unclosed", Severity::warning, "the last MMDF message has no closing separator",
     "The delivery was interrupted, or the end is lost.", "adds the separator"},
    {Id::mmdf_damaged, "mmdf-damaged", Severity::error, "damaged MMDF separator",
     "The line is nearly a separator; the messages on both sides are not told apart.", "puts a separator in its place"},
    {Id::unreadable, "unreadable", Severity::error, "the server refuses this spool",
     "The reading that the server uses stops here, and no other finding says why.",
     "nothing: look at that place with an editor, while nothing is delivered"},
    {Id::wrong_owner, "wrong-owner", Severity::error, "the spool belongs to somebody else",
     "The server opens a spool only when it belongs to the user.", "nothing: chown it"},
    {Id::wrong_mode, "wrong-mode", Severity::warning, "others may read or write the spool",
     "Mail should be readable for its owner, and for the group of the delivery agent at most.", "nothing: chmod it to 600 or 660"},
    {Id::wrong_group, "wrong-group", Severity::note, "the group is neither the user's nor that of the folder",
     "Delivery agents that work by group may be unable to write.", "nothing: chgrp it"},
    {Id::hard_link, "hard-link", Severity::error, "the spool has another name",
     "A file with several names may be anybody's; the server does not open it.", "nothing: remove the other name"},
    {Id::not_a_file, "not-a-file", Severity::error, "the spool is not a regular file",
     "The server does not follow symbolic links and does not open devices.", "nothing: put the file itself in its place"},
    {Id::holes, "holes", Severity::error, "the spool is mostly nothing",
     "More than a gigabyte of it was never written: a program set its length, or the file system lost what stood there. It is not read.",
     "nothing: cut the hole out with the command that is named, while nothing is delivered and nobody reads the mail; then check again"},
    {Id::stale_lock, "stale-lock", Severity::warning, "left lock file",
     "The process that made the lock file beside the spool is gone; programs that do not break it cannot deliver.",
     "nothing: the next program that takes the lock breaks it, or remove it"},
    {Id::temporary_drop, "temporary-drop", Severity::warning, "mail in a temporary drop of Qpopper",
     "A session of the old server was interrupted; the mail that it held was not put back.",
     "nothing: popper takes it over at the next login of its user, in front of the mail of the spool"},
    {Id::left_journal, "left-journal", Severity::warning, "an interrupted update",
     "A journal stands in the state folder; the spool is complete only together with it.", "completes the update first, as the server does"},
    {Id::saved_journal, "saved-journal", Severity::warning, "a journal that did not fit its spool",
     "Another program rewrote the spool after an update was interrupted; mail may be in this file alone.", "nothing: compare it with the spool, then remove it"},
    {Id::stale_index, "stale-index", Severity::note, "the index does not describe the spool",
     "The spool was changed since; the next open makes it anew.", "nothing"},
}};

constexpr const Row& row_of(Id id) { return kTable[static_cast<std::size_t>(id)]; }
[[nodiscard]] std::string_view name_of(Severity severity);

static_assert([] {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].id) != i || kTable[i].name.empty() || kTable[i].reason.empty() || kTable[i].repair.empty()) return false;
  }
  return true;
}());

/// One place of one spool.
struct Finding {
  Id id = Id::count;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  ///< octets it is about; 0: a place between two
  std::uint64_t line = 0;    ///< from 1; 0: not a place in the text
  std::uint64_t message = 0; ///< from 1; 0: before the first, or the spool as a whole
  std::string excerpt;       ///< escaped
  std::string detail;        ///< evidence, in words
  bool repairable = false;   ///< --repair changes something here
  bool doubtful = false;     ///< only when asked
};

}  // namespace qpop::check
