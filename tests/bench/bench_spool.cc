// SPDX-License-Identifier: MIT
#include "tests/bench/bench_spool.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace qpop::bench {

std::string message_head(std::size_t number) {
  return fmt::format(
      "From sender{0}@example.org Thu Nov 28 23:33:09 2024\nReturn-Path: <sender{0}@example.org>\n"
      "Received: from relay.example.org (relay.example.org [192.0.2.7])\n\tby mail.example.net (Postfix) with ESMTPS id {0:012X}\n"
      "\tfor <ada@example.net>; Thu, 28 Nov 2024 23:33:09 +0100\nMessage-Id: <{0}.generated@example.org>\n"
      "Date: Thu, 28 Nov 2024 23:33:08 +0100\nFrom: Sender <sender{0}@example.org>\nTo: Ada <ada@example.net>\nSubject: message {0}\n"
      "MIME-Version: 1.0\nStatus: RO\n",
      number);
}

std::string prose(std::size_t octets) {
  constexpr std::string_view kLine = "The quick brown fox jumps over the lazy dog and writes one more line.\n";
  std::string text;
  for (std::size_t line = 0; text.size() + kLine.size() <= octets;) text += ++line % 12 == 0 ? "\n" : kLine;
  return text;
}

base::UniqueFd make_spool(const std::string& folder, std::size_t octets, const MakeMessage& make) {
  std::string name = folder + "/popper_bench.XXXXXX";
  base::UniqueFd fd{::mkstemp(name.data())};
  ::unlink(name.c_str());
  std::string block;
  for (std::size_t number = 0, done = 0; fd.valid() && done < octets; ++number) {
    block += make(number);
    if (block.size() < (1U << 20U)) continue;
    if (::write(fd.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size())) return {};
    done += block.size();
    block.clear();
  }
  return fd;
}

}  // namespace qpop::bench
