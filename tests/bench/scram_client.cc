// SPDX-License-Identifier: MIT
// SCRAM-SHA-256 of a client. Source: RFC 5802 section 3, RFC 7677, RFC 5034 section 4.
#include "tests/bench/scram_client.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <cstdlib>
#include <string_view>
#include <vector>

namespace qpop::bench {

namespace {

const unsigned char* octets(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string encoded(std::string_view text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), octets(text), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::string decoded(std::string_view text) {
  std::string out(3 * text.size() / 4 + 3, '\0');
  const int size = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), octets(text), static_cast<int>(text.size()));
  if (size < 0) die("base64");
  out.resize(static_cast<std::size_t>(size));
  // EVP_DecodeBlock counts what the padding stands for.
  for (std::size_t i = text.size(); i > 0 && text[i - 1] == '='; --i) out.pop_back();
  return out;
}

/// Value of "x=..." in a server's message.
std::string field(std::string_view message, char name) {
  for (std::size_t at = 0; at < message.size();) {
    const auto end = std::min(message.find(',', at), message.size());
    if (message[at] == name && end - at >= 2) return std::string{message.substr(at + 2, end - at - 2)};
    at = end + 1;
  }
  die("a SCRAM message without what must be in it");
}

std::string hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  if (::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(text), text.size(), out.data(), &size) == nullptr) die("HMAC");
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::string challenge_of(const std::string& line) {
  if (!line.starts_with("+ ")) die("no challenge: " + line);
  const auto end = line.find_last_not_of("\r\n");
  return decoded(std::string_view{line}.substr(2, end - 1));
}

std::string asked(Connection& connection, const std::string& text) {
  connection.send(text + "\r\n");
  return connection.line(true);
}

}  // namespace

const ScramClient::Key& ScramClient::salted_password(const std::string& salt, int iterations) {
  const auto [found, fresh] = keys_.try_emplace({salt, iterations});
  if (fresh && ::PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()), octets(salt), static_cast<int>(salt.size()), iterations, ::EVP_sha256(),
                                   static_cast<int>(found->second.size()), found->second.data()) != 1) {
    die("PBKDF2");
  }
  return found->second;
}

void ScramClient::log_in(Connection& connection, const std::string& user) {
  const std::string bare = fmt::format("n={},r=loadclient{}", user, ++count_);
  const auto server_first = challenge_of(asked(connection, "AUTH SCRAM-SHA-256 " + encoded("n,," + bare)));
  const auto& key = salted_password(decoded(field(server_first, 's')), std::atoi(field(server_first, 'i').c_str()));
  const std::string_view salted{reinterpret_cast<const char*>(key.data()), key.size()};
  const std::string without_proof = "c=biws,r=" + field(server_first, 'r');
  const std::string message = bare + "," + server_first + "," + without_proof;
  auto proof = hmac(salted, "Client Key");
  Key stored{};
  ::SHA256(octets(proof), proof.size(), stored.data());
  const auto signature = hmac({reinterpret_cast<const char*>(stored.data()), stored.size()}, message);
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ signature[i]);
  const auto server_final = challenge_of(asked(connection, encoded(without_proof + ",p=" + encoded(proof))));
  if (field(server_final, 'v') != encoded(hmac(hmac(salted, "Server Key"), message))) die("the server did not prove itself");
  if (!asked(connection, "").starts_with("+OK")) die("the login was refused");
}

}  // namespace qpop::bench
