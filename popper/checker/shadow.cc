// SPDX-License-Identifier: MIT
// The shadow file, for systems without PAM.
// Runs as: root, or the user who started the server.
// Source: shadow(5), crypt(3).
#include <crypt.h>
#include <shadow.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/base/secret.h"
#include "popper/checker/checker.h"

namespace qpop::checker {

namespace {

/// What a password is compared with when there is nothing to compare it with: the scheme that new accounts get, so that the work is
/// theirs. It is no whole string, so no password comes to it.
const char* nobodys_setting() {
  static const std::string setting = [] {
    std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> text{};
    const char* made = ::crypt_gensalt_rn(nullptr, 0, nullptr, 0, text.data(), static_cast<int>(text.size()));
    return std::string{made != nullptr ? made : "$6$unknownuser$"};
  }();
  return setting.c_str();
}

/// crypt_data keeps the password and key schedules.
struct WipeAndFree {
  void operator()(crypt_data* data) const {
    ::explicit_bzero(data, sizeof *data);
    delete data;
  }
};

bool matches(const char* stored, const base::Secret& password) {
  const std::unique_ptr<crypt_data, WipeAndFree> data{new crypt_data{}};
  std::array<char, base::Secret::kMaxOctets + 1> text{};
  std::memcpy(text.data(), password.view().data(), password.view().size());
  const char* made = ::crypt_rn(text.data(), stored, data.get(), sizeof *data);
  base::wipe(text.data(), text.size());
  const bool whole = password.view().find('\0') == std::string_view::npos;
  return made != nullptr && base::equal_constant_time(made, stored) && whole;
}

}  // namespace

Answer ask_shadow(const std::string& user, const base::Secret& password, bool honour_password_age, long today) {
  using enum ipc::SystemOutcome;
  errno = 0;
  const spwd* entry = ::getspnam(user.c_str());
  if (entry == nullptr) {
    if (errno == EACCES) return {temporary_failure, "the shadow file cannot be read"};
    (void)matches(nobodys_setting(), password);
    return {unknown_user, "no such system user"};
  }
  // An empty field would let anybody in.
  const bool empty = entry->sp_pwdp == nullptr || *entry->sp_pwdp == '\0';
  const bool locked = !empty && (*entry->sp_pwdp == '!' || *entry->sp_pwdp == '*');
  const bool right = matches(empty || locked ? nobodys_setting() : entry->sp_pwdp, password);
  if (empty) return {refused, "no password is set"};
  if (locked) return {refused, "account locked"};
  if (!right) return {refused, "wrong password"};
  if (entry->sp_expire > 0 && today >= entry->sp_expire) return {refused, "account expired"};
  if (entry->sp_lstchg == 0 && honour_password_age) return {refused, "password expired"};
  const bool aged = entry->sp_lstchg > 0 && entry->sp_max >= 0 && today > entry->sp_lstchg + entry->sp_max;
  if (aged && honour_password_age) return {refused, "password expired"};
  return {accepted, {}};
}

}  // namespace qpop::checker
