// SPDX-License-Identifier: MIT
// TRANSACTION state: STAT, LIST, UIDL, RETR, TOP, DELE, RSET, LAST, NOOP.
// Runs as: popnet, without any right.
// Source: RFC 1939 sections 5 and 7.
#include <algorithm>
#include <charconv>
#include <limits>

#include "common/pop3/encoder.h"
#include "popper/session/dialogue.h"

namespace qpop::session {

namespace {
constexpr std::size_t kChunk = 64UL * 1024;  // on-disk octets read at a time; at most twice as many go out
constexpr std::size_t kRecordsAtOnce = 128;
constexpr std::size_t kListingPiece = 32UL * 1024;
constexpr std::size_t kDigits = std::numeric_limits<std::uint64_t>::digits10 + 1;

/// The end of its digits, at most kDigits.
char* put_number(char* out, std::uint64_t number) { return std::to_chars(out, out + kDigits, number).ptr; }
}  // namespace

void Dialogue::dispatch_transaction(const pop3::Command& command) {
  if (asks_to_mangle(command)) return err("x-mangle is not offered by this server.");
  using enum pop3::Verb;
  switch (command.verb) {
    case stat:
      return on_stat();
    case list:
      return on_list(command);
    case uidl:
      return on_uidl(command);
    case retr:
      return on_retr(command);
    case top:
      return on_top(command);
    case dele:
      return on_dele(command);
    case rset:
      return on_rset();
    case last:
      return on_last();
    case noop:
      return ok("no big woop");
    case euidl:
      return on_euidl(command);
    case xtnd:
      return on_xtnd(command);
    case mdef:
      return on_mdef(command);
    case user:
    case pass:
    case apop:
    case auth:
      return err("You are logged in already.");
    case stls:
      return err("STLS comes before login.");
    case capa:
    case quit:
    case http:
    case unknown:
      return on_unknown(command);
  }
}

void Dialogue::on_stat() { ok(fmt::format("{} {}", maildrop_->left_count(), maildrop_->left_octets())); }

std::optional<std::uint32_t> Dialogue::wanted_message(const pop3::Command& command) {
  const auto number = pop3::parse_number(command.words[0]);
  const auto refuse = [this](const std::string& text) {
    err(text);
    return std::nullopt;
  };
  if (number.kind == pop3::Number::Kind::not_a_number) return refuse("The message-number must be a decimal number.");
  if (number.kind == pop3::Number::Kind::too_large) return refuse("The message-number is too large.");
  if (number.value == 0) return refuse("Message-numbers start at 1.");
  if (number.value > maildrop_->count()) return refuse(fmt::format("Message {} does not exist.", number.value));
  if (maildrop_->is_deleted(number.value - 1)) return refuse(fmt::format("Message {} has been marked for deletion.", number.value));
  return number.value - 1;
}

void Dialogue::on_list(const pop3::Command& command) {
  if (command.word_count > 1) return err("Too many arguments for the LIST command.");
  if (command.word_count == 0) {
    const auto count = maildrop_->left_count();
    ok(fmt::format("{} visible message{} ({} octets)", count, count == 1 ? "" : "s", maildrop_->left_octets()));
    return send_listing(false);
  }
  const auto index = wanted_message(command);
  if (!index) return;
  const auto found = maildrop_->message(*index);
  if (!found) return storage_error(found.error());
  ok(fmt::format("{} {}", *index + 1, found->record.octets));
}

void Dialogue::on_uidl(const pop3::Command& command) {
  if (command.word_count > 1) return err("Too many arguments for the UIDL command.");
  if (command.word_count == 0) {
    ok("uidl command accepted.");
    return send_listing(true);
  }
  const auto index = wanted_message(command);
  if (!index) return;
  const auto found = maildrop_->message(*index);
  if (!found) return storage_error(found.error());
  ok(fmt::format("{} {}", *index + 1, found->record.unique_id()));
}

void Dialogue::send_listing(bool unique_ids) {
  std::array<listing::Record, kRecordsAtOnce> records;
  for (std::uint32_t first = 0; first < maildrop_->count() && !client_.failed(); first += kRecordsAtOnce) {
    const auto size = std::min<std::size_t>(kRecordsAtOnce, maildrop_->count() - first);
    if (auto read = maildrop_->records(first, std::span{records}.first(size)); !read) {
      log::error("{}: {}", who(), read.error().at("scan listing").message());
      return finish(End::failure);  // in the middle of a multi-line response nothing else can be said
    }
    for (std::uint32_t i = 0; i < size; ++i) {
      if (maildrop_->is_deleted(first + i)) continue;
      constexpr std::size_t kRoom = 2 * kDigits + 3 + listing::kMaxUniqueId;
      char* const room = client_.reserve(kRoom);
      char* end = put_number(room, first + i + 1);
      *end++ = ' ';
      end = unique_ids ? std::ranges::copy(records.at(i).unique_id(), end).out : put_number(end, records.at(i).octets);
      *end++ = '\r';
      *end++ = '\n';
      client_.commit(static_cast<std::size_t>(end - room));
    }
    // The client reads while the rest is written.
    if (client_.waiting() > kListingPiece && !client_.flush()) return;
  }
  client_.put(".\r\n");
}

void Dialogue::on_retr(const pop3::Command& command) {
  if (command.word_count == 0) return err("Too few arguments for the RETR command.");
  if (command.word_count > 1) return err("Too many arguments for the RETR command.");
  const auto index = wanted_message(command);
  if (index) send_message(*index, pop3::MessageEncoder::kAllLines, true);
}

void Dialogue::on_top(const pop3::Command& command) {
  if (command.word_count < 2) return err("Too few arguments for the TOP command.");
  if (command.word_count > 2) return err("Too many arguments for the TOP command.");
  const auto index = wanted_message(command);
  if (!index) return;
  const auto lines = pop3::parse_number(command.words[1]);
  if (lines.kind == pop3::Number::Kind::not_a_number) return err("The number of lines must be a decimal number.");
  // fetchmail asks for TOP n 99999999 when it wants all of it.
  send_message(*index, lines.kind == pop3::Number::Kind::ok ? lines.value : pop3::MessageEncoder::kAllLines, false);
}

void Dialogue::send_message(std::uint32_t index, std::uint64_t body_lines, bool whole) {
  const auto found = maildrop_->message(index);
  if (!found) return storage_error(found.error());
  pop3::MessageEncoder encoder{found->header_length, body_lines};
  static std::array<char, kChunk> chunk;  // one session a process; not on the stack, not allocated for each message
  bool begun = false;
  for (std::uint64_t offset = 0; !encoder.satisfied();) {
    const auto got = maildrop_->read(*found, offset, chunk);
    if (!got && !begun) return storage_error(got.error());
    if (!got) {
      // Part of the message is out. Without the termination octet the client knows that it is not whole.
      log::error("{}: message {}: {}; connection closed in the middle of it", who(), index + 1, got.error().message());
      return finish(End::failure);
    }
    if (!begun) ok(whole ? fmt::format("{} octets", found->record.octets) : "Message follows");
    begun = true;
    if (*got == 0) break;
    char* const room = client_.reserve(2 * *got + pop3::MessageEncoder::kFinishRoom);
    client_.commit(encoder.encode({chunk.data(), *got}, room));
    offset += *got;
    if (client_.failed()) return;
  }
  if (!begun) ok("Message follows");
  client_.commit(encoder.finish(client_.reserve(pop3::MessageEncoder::kFinishRoom)));
  if (whole) maildrop_->note_retrieved(index);
  if (whole) ++retrieved_;
}

void Dialogue::on_dele(const pop3::Command& command) {
  if (command.word_count == 0) return err("Too few arguments for the DELE command.");
  if (command.word_count > 1) return err("Too many arguments for the DELE command.");
  const auto index = wanted_message(command);
  if (!index) return;
  if (auto marked = maildrop_->mark_deleted(*index); !marked) return storage_error(marked.error());
  ok(fmt::format("Message {} has been deleted.", *index + 1));
}

void Dialogue::on_rset() {
  maildrop_->reset();
  status_forgotten_ = true;
  const auto count = maildrop_->count();
  ok(fmt::format("Maildrop has {} message{} ({} octets)", count, count == 1 ? "" : "s", maildrop_->left_octets()));
}

void Dialogue::storage_error(const base::Error& error) {
  log::error("{}: {}", who(), error.message());
  err(error.kind() == base::ErrorKind::changed ? "[SYS/TEMP] The maildrop was changed by another program; connect again"
                                               : "[SYS/TEMP] The maildrop cannot be read now, try again later");
}

}  // namespace qpop::session
