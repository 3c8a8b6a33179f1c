// SPDX-License-Identifier: MIT
// Each single fault: what it does to the octets, and what a repair must bring back.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "tests/check/corpus.h"

namespace qpop::test {

namespace {

const std::string kSeparator = "\x01\x01\x01\x01\n";

/// One spool and the message that is hit.
struct Case {
  const Spool& spool;
  std::mt19937& random;
  std::size_t k;
  std::string bytes;
  std::size_t at;  ///< of the unit of message k

  [[nodiscard]] const Message& message() const { return spool.messages[k]; }
  void replace_postmark(const std::string& line) { bytes.replace(at, message().postmark.size(), line); }
  [[nodiscard]] std::string sender() const { return message().postmark.substr(5, message().postmark.find(' ', 5) - 5); }
  [[nodiscard]] std::string when() const { return message().postmark.substr(message().postmark.find(' ', 5) + 1, 24); }
  [[nodiscard]] std::size_t content() const { return at + message().postmark.size(); }
};

using Do = void (*)(Case& c, Damage& out);

struct Fault {
  std::string_view name;
  std::string_view kinds;  ///< m: mbox of any dialect with LF, c: counted dialects, d: MMDF, r: CR LF
  Do act;
  bool later = false;      ///< not of the first message
};

std::vector<std::string> contents(const Spool& spool) {
  std::vector<std::string> out;
  for (const auto& message : spool.messages) out.push_back(message.content);
  return out;
}

void without(Damage& out, const Case& c, std::initializer_list<std::size_t> indexes) {
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < c.spool.messages.size(); ++i) {
    if (std::ranges::find(indexes, i) == indexes.end()) kept.push_back(c.spool.messages[i].content);
  }
  out.wanted = kept;
  out.exact = false;
}

const std::string kForeign = "these bytes\nare of no message\n\nat all";

constexpr std::array kFaults{
    Fault{"empty lines in front", "mrd", [](Case& c, Damage&) { c.bytes.insert(0, "\n\n"); }},
    Fault{"foreign bytes in front", "mr", [](Case& c, Damage& out) { c.bytes.insert(0, kForeign + "\n\n"); out.exact = false; }},
    Fault{"foreign bytes in front, glued", "m", [](Case& c, Damage& out) { c.bytes.insert(0, kForeign); out.exact = false; }},
    Fault{"foreign binary in front", "m", [](Case& c, Damage& out) { c.bytes.insert(0, std::string{"\x7f""ELF\x02\0\0\x80\xff", 9} + "\n\n"); out.exact = false; }},
    Fault{"first From_ line missing", "mr", [](Case& c, Damage&) { c.bytes.erase(0, c.spool.messages[0].postmark.size()); }},
    Fault{"month of the date damaged", "mr", [](Case& c, Damage&) { c.bytes[c.content() - c.spool.eol().size() - 18] = 'Q'; }},
    Fault{"day of the date damaged", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} Thu Nov 99 10:11:12 2024\n", c.sender())); }},
    Fault{"time of the date damaged", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} Thu Nov 12 10x11:12 2024\n", c.sender())); }},
    Fault{"year missing", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} {}\n", c.sender(), c.when().substr(0, 19))); }},
    Fault{"date missing", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {}\n", c.sender())); }},
    Fault{"date missing behind a blank", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} \n", c.sender())); }},
    Fault{"numeric date", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} 2024-11-29 10:11:12\n", c.sender())); }},
    Fault{"weekday missing", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} {}\n", c.sender(), c.when().substr(4))); }},
    Fault{"8-bit in the date", "m", [](Case& c, Damage&) { c.bytes[c.content() - 20] = '\xe9'; }},
    Fault{"8-bit in the sender", "m", [](Case& c, Damage&) { c.bytes[c.at + 6] = '\xe9'; }},
    Fault{"CR inside", "m", [](Case& c, Damage&) { c.bytes[c.content() - 6] = '\r'; }},
    Fault{"CR at its end", "m", [](Case& c, Damage&) { c.bytes.insert(c.content() - 1, "\r"); }},
    Fault{"two CR at its end", "m", [](Case& c, Damage&) { c.bytes.insert(c.content() - 1, "\r\r"); }},
    Fault{"cut in the time", "m", [](Case& c, Damage&) { c.replace_postmark(c.message().postmark.substr(0, c.message().postmark.size() - 12) + "\n"); }},
    Fault{"cut behind the sender", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} Th\n", c.sender())); }},
    Fault{"UUCP", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} {} remote from relay\n", c.sender(), c.when())); }},
    Fault{"UUCP without a host", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} {} remote from\n", c.sender(), c.when())); }},
    Fault{"zone name", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} {} MET DST 2024\n", c.sender(), c.when().substr(0, 19))); }},
    Fault{"zone in brackets", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {} {} (CET) 2024\n", c.sender(), c.when().substr(0, 19))); }},
    Fault{"no sender", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {}\n", c.when())); }},
    Fault{"no sender and no year", "m", [](Case& c, Damage&) { c.replace_postmark(fmt::format("From {}\n", c.when().substr(0, 19))); }},
    Fault{"bit of the word From", "mr", [](Case& c, Damage&) { c.bytes[c.at + c.random() % 5] ^= 4; }},
    Fault{"octet of the word From lost", "m", [](Case& c, Damage&) { c.bytes.erase(c.at + c.random() % 5, 1); }},
    Fault{"NUL in the date", "m", [](Case& c, Damage&) { c.bytes[c.content() - 9] = '\0'; }},
    Fault{"header field in its line", "m", [](Case& c, Damage&) { c.bytes.erase(c.content() - 1, 1); }},
    Fault{"LF damaged before the header", "m", [](Case& c, Damage&) { c.bytes[c.content() - 1] = '\x0b'; }},
    Fault{"no empty line before it", "mr", [](Case& c, Damage&) { c.bytes.erase(c.at - c.spool.eol().size(), c.spool.eol().size()); }, true},
    Fault{"glued to the line before", "mr", [](Case& c, Damage&) { c.bytes.erase(c.at - 2 * c.spool.eol().size(), 2 * c.spool.eol().size()); }, true},
    Fault{"bit of the empty line", "m", [](Case& c, Damage&) { c.bytes[c.at - 1] ^= static_cast<char>(1U << (c.random() % 7)); }, true},
    Fault{"From_ line zeroed", "m", [](Case& c, Damage&) { std::fill_n(c.bytes.begin() + static_cast<std::ptrdiff_t>(c.at), c.message().postmark.size(), '\0'); }},
    Fault{"line in a part looks like a From_ line", "mr", [](Case& c, Damage& out) {
            const std::string e = c.spool.eol();
            const std::string top = "Return-Path: <a@b>" + e + "Message-Id: <x@y>" + e + "Content-Type: multipart/mixed; boundary=\"outer\"" + e + e + "--outer" + e + e + "text" + e + e;
            const std::string tail = "From bob@example.org Fri Nov 30 10:11:12 2024" + e + "as he wrote" + e + e + "--outer--" + e;
            c.bytes.insert(c.at, c.message().postmark + top + tail + e);
            auto wanted = contents(c.spool);
            wanted.insert(wanted.begin() + static_cast<std::ptrdiff_t>(c.k), top + ">" + tail);
            out.wanted = wanted;
          }},
    Fault{"text that looks like a From_ line", "m", [](Case& c, Damage& out) {
            c.bytes.insert(c.at, c.message().postmark + "Subject: x\nTo: ada\n\ntext\n\nFrom bob@example.org Fri Nov 30 10:11:12 2024\nas he wrote\n\n");
            out.exact = false;
          }},
    Fault{"wrong Content-Length", "c", [](Case& c, Damage&) {
            const auto field = c.bytes.find("Content-Length: ", c.at) + 16;
            const auto end = c.bytes.find('\n', field);
            c.bytes.replace(field, end - field, std::to_string(std::stoul(c.bytes.substr(field, end - field)) + 17));
          }},
    Fault{"NUL run in a body", "mr", [](Case& c, Damage& out) {
            const auto from = c.content() + c.message().header_size();
            const auto size = c.message().content.size() - c.message().header_size();
            std::fill_n(c.bytes.begin() + static_cast<std::ptrdiff_t>(from), size / 2, '\0');
            without(out, c, {c.k});
          }},
    Fault{"NUL block in front", "mr", [](Case& c, Damage&) { c.bytes.insert(0, std::string(512, '\0')); }},
    Fault{"NUL octets at the end", "mrd", [](Case& c, Damage&) { c.bytes += std::string(1000, '\0'); }},
    Fault{"no end of line at the end", "m", [](Case& c, Damage&) { c.bytes.erase(c.bytes.size() - 2); }},
    Fault{"no empty line at the end", "m", [](Case& c, Damage&) { c.bytes.pop_back(); }},
    Fault{"last message cut", "mrd", [](Case& c, Damage& out) {
            const auto last = c.spool.messages.size() - 1;
            c.bytes.resize(c.spool.offset(last) + c.spool.unit(last).size() * 3 / 5);
            without(out, c, {last});
          }},
    Fault{"last header cut", "mr", [](Case& c, Damage& out) {
            const auto last = c.spool.messages.size() - 1;
            c.bytes.resize(c.spool.offset(last) + c.spool.messages[last].postmark.size() + 40);
            without(out, c, {last});
          }},
    Fault{"header cut", "mr", [](Case& c, Damage& out) {
            c.bytes.erase(c.content() + 30, 100);
            without(out, c, {c.k});
          }},
    Fault{"no header", "mr", [](Case& c, Damage& out) {
            c.bytes.erase(c.content(), c.message().header_size() - c.spool.eol().size());
            without(out, c, {c.k});
          }},
    Fault{"some lines with CR LF", "m", [](Case& c, Damage& out) {
            std::string changed;
            for (const char one : c.message().content) changed += one == '\n' ? "\r\n" : std::string(1, one);
            c.bytes.replace(c.content(), c.message().content.size(), changed);
            out.wanted[c.k] = changed;
          }},
    Fault{"message doubled", "mr", [](Case& c, Damage& out) { c.bytes.insert(c.at, c.spool.unit(c.k)); out.exact = false; }},
    Fault{"folder internal data", "m", [](Case& c, Damage& out) {
            c.bytes.insert(0, "From MAILER-DAEMON Thu Nov 29 10:11:12 2024\nDate: 29 Nov 2024 10:11:12 +0000\nFrom: Mail System Internal Data <MAILER-DAEMON@example.net>\n"
                              "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1732874000 0000000012\nStatus: RO\n\nThis text is part of the internal format.\n\n");
            out.exact = false;
          }},
    Fault{"message in MMDF form", "m", [](Case& c, Damage& out) {
            const std::string other = "Return-Path: <a@b>\nMessage-Id: <m@n>\nDate: Thu, 29 Nov 2024 10:11:12 +0000\nSubject: in MMDF form\n\nbody\n";
            c.bytes.insert(c.at, kSeparator + other + kSeparator);
            out.wanted.insert(out.wanted.begin() + static_cast<std::ptrdiff_t>(c.k), other);
          }, true},
    Fault{"opening separator lost", "d", [](Case& c, Damage&) { c.bytes.erase(c.at, 5); }},
    Fault{"closing separator lost", "d", [](Case& c, Damage&) { c.bytes.erase(c.at - 5, 5); }, true},
    Fault{"separator with an octet lost", "d", [](Case& c, Damage&) { c.bytes.erase(c.at, 1); }, true},
    Fault{"separator with a bit changed", "d", [](Case& c, Damage&) { c.bytes[c.at + c.random() % 4] ^= 8; }, true},
    Fault{"closing separator with a bit changed", "d", [](Case& c, Damage&) { c.bytes[c.at - 5 + c.random() % 4] ^= 8; }, true},
    Fault{"last separator lost", "d", [](Case& c, Damage&) { c.bytes.erase(c.bytes.size() - 5); }},
    Fault{"foreign bytes between", "d", [](Case& c, Damage& out) { c.bytes.insert(c.at, kForeign + "\n"); out.exact = false; }, true},
    Fault{"empty lines between", "d", [](Case& c, Damage&) { c.bytes.insert(c.at, "\n\n"); }, true},
    Fault{"NUL block between", "d", [](Case& c, Damage&) { c.bytes.insert(c.at, std::string(512, '\0')); }, true},
    Fault{"messages in mbox form behind", "d", [](Case& c, Damage& out) {
            for (const char* subject : {"one", "two"}) {
              const std::string other = fmt::format("Return-Path: <a@b>\nMessage-Id: <{0}@n>\nSubject: {0}\n\nbody\n", subject);
              c.bytes += "From a@b Thu Nov 29 10:11:12 2024\n" + other + "\n";
            }
            out.exact = false;
          }},
};

char letter(Kind kind) { return kind == Kind::mmdf ? 'd' : kind == Kind::crlf ? 'r' : 'm'; }

}  // namespace

std::vector<std::string> single_faults(Kind kind) {
  std::vector<std::string> out;
  for (const auto& fault : kFaults) {
    const bool counted = (kind == Kind::mboxcl || kind == Kind::mboxcl2) && fault.kinds.find('c') != std::string_view::npos;
    if (counted || fault.kinds.find(letter(kind)) != std::string_view::npos) out.emplace_back(fault.name);
  }
  return out;
}

Damage damage(const Spool& spool, const std::string& name, std::mt19937& random) {
  const auto* fault = std::ranges::find(kFaults, name, &Fault::name);
  if (fault == kFaults.end()) throw std::invalid_argument(name);
  const std::size_t first = fault->later ? 1 : 0;
  const std::size_t k = first + random() % (spool.messages.size() - first);
  Damage out{.what = name, .bytes = {}, .wanted = contents(spool)};
  Case c{spool, random, k, spool.bytes(), spool.offset(k)};
  fault->act(c, out);
  out.what = fmt::format("{}, message {} of {}", name, k + 1, spool.messages.size());
  out.bytes = std::move(c.bytes);
  return out;
}

}  // namespace qpop::test
