// SPDX-License-Identifier: MIT
// Command lines as they come from the network: the same lines for every cut, views that stay inside, bounded memory.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/pop3/command.h"
#include "common/pop3/encoder.h"

namespace {

using namespace qpop::pop3;

void require(bool ok) {
  if (!ok) std::abort();
}

std::vector<std::string> read_all(std::string_view bytes, std::size_t piece) {
  LineReader reader;
  std::vector<std::string> out;
  while (!bytes.empty()) {
    auto part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    while (!part.empty()) {
      const auto [event, consumed] = reader.feed(part);
      require(consumed > 0 && consumed <= part.size());
      part.remove_prefix(consumed);
      if (event == LineReader::Event::line) {
        require(reader.line().size() <= kMaxCommandLine);
        out.emplace_back(reader.line());
      }
      if (event == LineReader::Event::too_long) out.emplace_back("\n");
    }
  }
  return out;
}

void check_command(const std::string& line) {
  const auto command = parse_command(line);
  const char* const begin = line.data();
  const char* const end = begin + line.size();
  for (std::size_t i = 0; i < command.word_count; ++i) {
    const auto word = command.words.at(i);
    require(!word.empty() && word.data() >= begin && word.data() + word.size() <= end);
    (void)parse_number(word);
  }
}

/// Encoded in pieces as whole; never longer than twice the input and its end.
void check_encoder(std::string_view content, std::size_t piece, std::uint64_t lines) {
  const auto encode = [&](std::size_t size) {
    MessageEncoder encoder{content.size() / 3, lines};
    std::string out;
    for (std::size_t at = 0; at < content.size(); at += size) {
      const auto part = content.substr(at, size);
      std::vector<char> room(2 * part.size());
      out.append(room.data(), encoder.encode(part, room.data()));
    }
    std::string last(MessageEncoder::kFinishRoom, '\0');
    last.resize(encoder.finish(last.data()));
    return out + last;
  };
  const auto whole = encode(content.size() + 1);
  require(whole == encode(piece) && whole.size() <= 2 * content.size() + MessageEncoder::kFinishRoom);
  const auto end = whole.find("\r\n.\r\n");
  require(whole == ".\r\n" || whole.ends_with("\r\n.\r\n"));
  require(end == std::string::npos || end + 5 == whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t piece = 1U + data[0] % 64U;
  const std::uint64_t lines = data[1] > 128 ? MessageEncoder::kAllLines : data[1];
  const std::string_view bytes{reinterpret_cast<const char*>(data) + 2, size - 2};
  const auto whole = read_all(bytes, bytes.size() + 1);
  require(whole == read_all(bytes, piece));
  for (const auto& line : whole) check_command(line);
  check_encoder(bytes, piece, lines);
  return 0;
}
