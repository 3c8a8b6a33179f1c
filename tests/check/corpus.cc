// SPDX-License-Identifier: MIT
// Spools and single faults.
#include "tests/check/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.h"
#include "common/mbox/scanner.h"

namespace qpop::test {

namespace {

const std::string kSeparator = "\x01\x01\x01\x01\n";

std::string line(std::mt19937& random) {
  static constexpr std::array kWords{"the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "From", "mail", "10:20:30", "--", "na\xc3\xafve"};
  std::string out;
  const std::size_t words = 1 + random() % 12;
  for (std::size_t i = 0; i < words; ++i) out += (i > 0 ? " " : "") + std::string{kWords[random() % kWords.size()]};
  // Only a whole From_ line is quoted by the agents; such a line stands in a body by other means.
  return out;
}

std::string date(std::mt19937& random) {
  return fmt::format("Thu Nov {:2} {:02}:{:02}:{:02} 2024", 1 + random() % 30, random() % 24, random() % 60, random() % 60);
}

std::string body(Kind kind, std::mt19937& random, bool multipart, const std::string& boundary) {
  std::string out;
  const auto text = [&](std::size_t lines) {
    for (std::size_t i = 0; i < lines; ++i) out += random() % 6 == 0 ? "\n" : line(random) + "\n";
  };
  if (multipart) {
    out += "preamble\n--" + boundary + "\nContent-Type: text/plain\n\n";
    text(2 + random() % 10);
    out += "--" + boundary + "\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n";
    for (std::size_t i = 0; i < 3 + random() % 20; ++i) out += "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZy4gVGhlIHF1aWNr\n";
    out += "--" + boundary + "--\n";
  } else {
    text(1 + random() % 40);
  }
  if (kind == Kind::mboxo && random() % 4 == 0) out += "\n>From here on it is quoted\n";
  if (kind == Kind::mboxrd && random() % 4 == 0) out += "\n>From here on\n>>From there on\n";
  if (kind == Kind::mboxcl && random() % 3 == 0) out += "\n>From ada@example.org " + date(random) + "\nquoted\n";
  if (kind == Kind::mboxcl2 && random() % 3 == 0) out += "\nFrom ada@example.org " + date(random) + "\nSubject: not quoted, but counted\n";
  if (out.ends_with("\n\n") || out == "\n") out += "end\n";
  return out;
}

Message make_message(Kind kind, std::mt19937& random, std::size_t number) {
  Message message;
  const std::string sender = fmt::format("user{}@example.org", random() % 1000);
  const std::string when = date(random);
  if (kind != Kind::mmdf) message.postmark = fmt::format("From {} {}\n", sender, when);
  const bool multipart = random() % 3 == 0;
  const std::string boundary = fmt::format("=_{:08x}_{}", random(), number);
  std::string header = fmt::format("Return-Path: <{}>\n", sender);
  if (random() % 2 == 0) header += "Delivered-To: ada@example.net\n";
  header += fmt::format("Received: from relay.example.org ([192.0.2.7])\n\tby mail.example.net with ESMTP id {:08X};\n\tThu, {} Nov 2024 {} +0000\n", random(),
                        base::trim(when.substr(8, 2)), when.substr(11, 8));
  header += fmt::format("Message-Id: <{}.{}@example.org>\nDate: Thu, {} Nov 2024 {} +0000\nFrom: {}\nTo: ada@example.net\nSubject: message {}\n", number, random(),
                        base::trim(when.substr(8, 2)), when.substr(11, 8), sender, number);
  if (multipart) header += fmt::format("MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"{}\"\n", boundary);
  const auto text = body(kind, random, multipart, boundary);
  if (kind == Kind::mboxcl || kind == Kind::mboxcl2) header += fmt::format("Content-Length: {}\n", text.size());
  if (random() % 2 == 0) header += "Status: RO\n";
  message.content = header + "\n" + text;
  if (kind != Kind::crlf) return message;
  for (auto* part : {&message.postmark, &message.content}) {
    std::string out;
    for (const char c : *part) out += c == '\n' ? "\r\n" : std::string(1, c);
    *part = out;
  }
  return message;
}

}  // namespace

std::string Spool::unit(std::size_t index) const {
  const auto& message = messages[index];
  return mmdf() ? kSeparator + message.content + kSeparator : message.postmark + message.content + eol();
}

std::string Spool::bytes() const {
  std::string out;
  for (std::size_t i = 0; i < messages.size(); ++i) out += unit(i);
  return out;
}

std::size_t Spool::offset(std::size_t index) const {
  std::size_t at = 0;
  for (std::size_t i = 0; i < index; ++i) at += unit(i).size();
  return at;
}

Spool make_spool(Kind kind, std::mt19937& random, std::size_t messages) {
  Spool spool{.kind = kind, .messages = {}};
  for (std::size_t i = 0; i < messages; ++i) spool.messages.push_back(make_message(kind, random, i));
  return spool;
}

std::vector<std::string> served(std::string_view bytes) {
  mbox::Scanner scanner{{}, [&](std::uint64_t offset, std::span<char> out) -> base::Result<std::size_t> {
                          const auto piece = bytes.substr(std::min<std::size_t>(offset, bytes.size()), out.size());
                          std::ranges::copy(piece, out.begin());
                          return piece.size();
                        }};
  const auto refused = [](const base::Error& error) { return std::vector<std::string>{"refused: " + error.message()}; };
  if (auto fed = scanner.feed(bytes); !fed) return refused(fed.error());
  auto result = scanner.finish();
  if (!result) return refused(result.error());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < result->records.size(); ++i) {
    const auto& record = result->records[i];
    const auto end = (i + 1 < result->records.size() ? result->records[i + 1].offset : result->end) - record.trailer;
    out.emplace_back(bytes.substr(record.offset + record.content_start, end - record.offset - record.content_start));
  }
  return out;
}

std::string damage_at_random(std::string bytes, std::mt19937& random) {
  const std::size_t count = 1 + random() % 6;
  for (std::size_t i = 0; i < count && !bytes.empty(); ++i) {
    const std::size_t at = random() % bytes.size();
    const std::size_t block = at / 512 * 512;
    switch (random() % 8) {
      case 0:
      case 1:
        for (std::size_t flips = 1 + random() % 4; flips > 0; --flips) bytes[random() % bytes.size()] ^= static_cast<char>(1U << (random() % 8));
        break;
      case 2:
        bytes.erase(block, 512);
        break;
      case 3:
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(block), bytes.begin() + static_cast<std::ptrdiff_t>(std::min(block + 512, bytes.size())), '\0');
        break;
      case 4:
        bytes = bytes.substr(0, at) + bytes.substr(random() % bytes.size());
        break;
      case 5:
        bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 2000));
        break;
      case 6:
        bytes.resize(at);
        break;
      default: {
        static const std::array<std::string, 12> kPieces{"\n", "\n\n", "From ", "\nFrom ada@example.org Thu Nov 29 23:33:09 1973\n", "\x01\x01\x01\x01\n", std::string(40, '\0'), "\r\n",
                                                          "\nFrom ada@example.org Thu Nov 29\nReceived: x\nMessage-Id: <a@b>\n", "Subject: x\n", ">", "\x01", "\nFrom : \n"};
        bytes.insert(at, kPieces[random() % kPieces.size()]);
        break;
      }
    }
  }
  return bytes;
}

}  // namespace qpop::test
