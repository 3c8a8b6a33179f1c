// SPDX-License-Identifier: MIT
// SASLprep through libidn and crypt(3) through libcrypt.
//
// libidn and not libgsasl: SASLprep is all that is wanted, libgsasl itself calls libidn for it, and the set-uid program
// should link little. libidn2 has no stringprep. What libidn frees it does not wipe: non-ASCII passwords may be left on
// the heap, in processes that write no core and cannot be traced.
#include "common/authdb/password.h"

#include <crypt.h>
#include <stringprep.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "common/digest/digest.h"
#include "common/digest/hmac_state.h"

namespace qpop::authdb {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Secret;

namespace {

/// NUL-terminated octets for C functions, wiped.
struct Buffer {
  std::array<char, 4 * (Secret::kMaxOctets + 1)> octets{};
  explicit Buffer(std::string_view text) { std::copy(text.begin(), text.end(), octets.begin()); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { base::wipe(octets.data(), octets.size()); }
};

/// crypt_data keeps the password and key schedules.
struct Schedules {
  crypt_data data{};
  Schedules() = default;
  Schedules(const Schedules&) = delete;
  Schedules& operator=(const Schedules&) = delete;
  ~Schedules() { base::wipe(reinterpret_cast<char*>(&data), sizeof data); }
};

/// Empty when crypt(3) refuses the setting or the password.
std::string crypt_of(std::string_view setting, const Secret& password) {
  const auto made_in = std::make_unique<Schedules>();
  const Buffer phrase{password.view()};
  const std::string text{setting};
  const char* const made = ::crypt_rn(phrase.octets.data(), text.c_str(), &made_in->data, sizeof made_in->data);
  return made != nullptr ? made : "";
}

/// `string` begins with kCramMd5Scheme, or is empty: the same work, and false.
bool matches_cram_md5(std::string_view string, const Secret& password) {
  const std::string made = std::string{kCramMd5Scheme} + digest::hmac_md5_state_hex(password.view());
  const std::string none(made.size(), '-');
  // HMAC fills a short key up with NUL: those that the client sends must not pass for them.
  const bool whole = password.view().find('\0') == std::string_view::npos;
  return base::equal_constant_time(made, string.empty() ? none : string) && whole;
}

}  // namespace

Secret prepare_password(const Secret& password) {
  const auto raw = password.view();
  // Printable ASCII is its own prepared form, and ASCII that is not printable is prohibited: raw in both cases.
  const bool ascii = std::ranges::all_of(raw, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii || raw.find('\0') != std::string_view::npos) return Secret{raw};
  Buffer buffer{raw};
  const int code =
      ::stringprep(buffer.octets.data(), buffer.octets.size(), Stringprep_profile_flags{}, stringprep_saslprep);
  const std::string_view prepared{buffer.octets.data(), ::strnlen(buffer.octets.data(), buffer.octets.size())};
  if (code != STRINGPREP_OK || prepared.empty() || prepared.size() > Secret::kMaxOctets) return Secret{raw};
  return Secret{prepared};
}

bool matches_crypt(std::string_view crypt, const Secret& password) {
  const auto made = crypt_of(crypt, password);
  // crypt(3) would stop at a NUL and take the rest for right.
  const bool whole = password.view().find('\0') == std::string_view::npos;
  return base::equal_constant_time(made, crypt) && !made.empty() && whole;
}

Result<std::string> make_dummy_crypt(std::string_view crypt) {
  digest::Digest16 random{};
  digest::random_bytes(random);
  auto made = crypt_of(crypt, Secret{digest::base64_encode(digest::view_of(random))});
  if (made.size() < 13 || made.front() == '*')
    return Error{ErrorKind::unsupported, "crypt(3) does not know this scheme"};
  return made;
}

bool matches_password(const Meta& meta, std::string_view name, const Account* account, const Secret& password) {
  const bool by_scram = account != nullptr && account->scram;
  const bool by_string = account != nullptr && !by_scram && !account->crypt.empty();
  const bool by_cram_md5 = by_string && account->crypt.starts_with(kCramMd5Scheme);
  const bool by_crypt = by_string && !by_cram_md5;
  // Made up for those who have one as well: a few microseconds, but always the same.
  const ScramVerifier made_up = dummy_scram(meta, name);
  const bool right_scram = matches(by_scram ? *account->scram : made_up, password);
  const std::string_view string = by_crypt ? account->crypt : meta.dummy_crypt;
  const bool right_crypt = !string.empty() && matches_crypt(string, password);
  const bool right_cram_md5 = matches_cram_md5(by_cram_md5 ? std::string_view{account->crypt} : "", password);
  return (by_scram && right_scram) || (by_crypt && right_crypt) || (by_cram_md5 && right_cram_md5);
}

bool needs_upgrade(const Meta& meta, const Account& account) {
  return !account.crypt.empty() || !account.scram || account.scram->iterations < meta.iterations;
}

Account upgraded(const Meta& meta, const Account& account, const Secret& password) {
  Account after = account;
  after.scram = make_scram(password, meta.iterations);
  after.crypt.clear();
  return after;
}

}  // namespace qpop::authdb
