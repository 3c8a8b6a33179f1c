// SPDX-License-Identifier: MIT
// Reads and writes key and chain.
#include "popcert/pair.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "common/base/unique_fd.h"
#include "common/tls/key.h"

namespace qpop::popcert {

base::Result<Pair> load_pair(const Place& place) {
  Pair out;
  auto file = read_file(place.file);
  if (!file) return file.error();
  auto chain = tls::read_bundle(file->octets);
  if (!chain) return chain.error().at("read", place.file);
  out.chain = std::move(*chain);
  out.own_key_file = !place.key_file.empty();
  if (!out.own_key_file) return out;
  auto key_file = read_file(place.key_file);
  if (!key_file) return key_file.error();
  auto key = tls::read_bundle(key_file->octets);
  if (!key) return key.error().at("read", place.key_file);
  out.key_file = std::move(*key);
  return out;
}

base::Status store_pair(const Place& place, EVP_PKEY& key, const std::vector<tls::Certificate>& chain, bool replace) {
  auto key_text = tls::to_pem(key);
  if (!key_text) return key_text.error();
  std::string text;
  for (const auto& certificate : chain) text += certificate.pem();
  if (place.key_file.empty()) {
    // One buffer that is wiped: a plain concatenation would leave copies of the key behind.
    std::string whole;
    whole.reserve(key_text->view().size() + text.size());
    whole.append(key_text->view()).append(text);
    const tls::KeyText both{std::move(whole)};
    return write_file(place.file, both.view(), 0600, replace);
  }
  // Both lie on the disk before either takes its name: a full disk leaves the old pair.
  if (auto done = make_folders(folder_of(place.key_file)); !done) return done;
  auto key_file = PendingFile::write(place.key_file, key_text->view(), 0600, replace);
  if (!key_file) return key_file.error();
  auto chain_file = PendingFile::write(place.file, text, 0644, replace);
  if (!chain_file) return chain_file.error();
  if (auto done = key_file->commit(); !done) return done;
  return chain_file->commit();
}

std::string ask_pass_phrase() {
  const base::UniqueFd terminal{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
  if (!terminal.valid()) return {};
  termios before{};
  if (::tcgetattr(terminal.get(), &before) != 0) return {};
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(terminal.get(), TCSAFLUSH, &silent);
  static constexpr std::string_view kPrompt = "Pass phrase: ";
  std::array<char, 1024> line{};
  ssize_t got = ::write(terminal.get(), kPrompt.data(), kPrompt.size());
  if (got > 0) got = ::read(terminal.get(), line.data(), line.size());
  if (::write(terminal.get(), "\n", 1) < 0) got = 0;
  ::tcsetattr(terminal.get(), TCSAFLUSH, &before);
  std::string out{line.data(), got > 0 ? static_cast<std::size_t>(got) : 0U};
  ::OPENSSL_cleanse(line.data(), line.size());
  while (!out.empty() && (out.back() == '\n' || out.back() == '\r')) out.pop_back();
  return out;
}

}  // namespace qpop::popcert
