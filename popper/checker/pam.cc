// SPDX-License-Identifier: MIT
// PAM: authentication and account management for service "qpopper".
// Runs as: root, or the user who started the server.
// Source: pam_start(3), pam_set_item(3), pam_conv(3).
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "common/base/secret.h"
#include "popper/checker/checker.h"
#include "popper/checker/pam_library.h"

namespace qpop::checker {

namespace {

struct Conversation {
  const std::string& user;
  const base::Secret& password;
};

struct ResponsesFree {
  std::size_t count = 0;
  void operator()(pam_response* responses) const {
    for (std::size_t i = 0; i < count; ++i) {
      if (responses[i].resp != nullptr) base::wipe(responses[i].resp, std::strlen(responses[i].resp));
      std::free(responses[i].resp);  // NOLINT: PAM's memory is that of malloc
    }
    std::free(responses);  // NOLINT
  }
};

char* duplicate(std::string_view text) { return ::strndup(text.data(), text.size()); }

/// Echo on: the name; echo off: the password; texts are for nobody.
int converse(int count, const pam_message** messages, pam_response** out, void* data) {
  const auto* conversation = static_cast<const Conversation*>(data);
  if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
  const auto number = static_cast<std::size_t>(count);
  auto* const memory = static_cast<pam_response*>(std::calloc(number, sizeof(pam_response)));  // NOLINT: PAM frees it
  if (memory == nullptr) return PAM_BUF_ERR;
  std::unique_ptr<pam_response, ResponsesFree> responses{memory, ResponsesFree{number}};
  for (std::size_t i = 0; i < number; ++i) {
    const int style = messages[i]->msg_style;
    if (style == PAM_ERROR_MSG || style == PAM_TEXT_INFO) continue;
    if (style != PAM_PROMPT_ECHO_ON && style != PAM_PROMPT_ECHO_OFF) return PAM_CONV_ERR;
    memory[i].resp = duplicate(style == PAM_PROMPT_ECHO_ON ? std::string_view{conversation->user} : conversation->password.view());
    if (memory[i].resp == nullptr) return PAM_BUF_ERR;
  }
  *out = responses.release();
  return PAM_SUCCESS;
}

/// Modules ask for a delay after a failure; the authenticator has its own, and this process does not sleep for anybody.
void do_not_delay(int, unsigned, void*) {}

struct HandleEnd {
  const PamLibrary* pam;
  int* last;
  void operator()(pam_handle_t* handle) const { pam->end(handle, *last); }
};

Answer verdict(const PamLibrary& pam, pam_handle_t* handle, int code) {
  using enum ipc::SystemOutcome;
  const std::string text = std::string{"PAM: "} + pam.strerror(handle, code);
  switch (code) {
    case PAM_SUCCESS:
      return {accepted, {}};
    case PAM_USER_UNKNOWN:
      return {unknown_user, "PAM: no such user"};
    case PAM_AUTH_ERR:
    case PAM_MAXTRIES:
    case PAM_PERM_DENIED:
    case PAM_CRED_INSUFFICIENT:
      return {refused, text};
    case PAM_ACCT_EXPIRED:
      return {refused, "account expired"};
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_AUTHTOK_EXPIRED:
      return {refused, "password expired"};
    default:
      return {temporary_failure, text};
  }
}

}  // namespace

Answer ask_pam(const std::string& user, const base::Secret& password, const std::string& client) {
  // A C string ends at a NUL: what is behind it would not be looked at.
  if (password.view().find('\0') != std::string_view::npos) return {ipc::SystemOutcome::refused, "NUL in the password"};
  const auto library = pam_library();
  if (!library) return {ipc::SystemOutcome::temporary_failure, "PAM: " + library.error().message()};
  const PamLibrary& pam = **library;
  Conversation conversation{user, password};
  const pam_conv calls{converse, &conversation};
  pam_handle_t* raw = nullptr;
  int code = pam.start(kPamService, user.c_str(), &calls, &raw);
  const std::unique_ptr<pam_handle_t, HandleEnd> handle{raw, HandleEnd{&pam, &code}};
  if (code != PAM_SUCCESS) return {ipc::SystemOutcome::temporary_failure, "PAM cannot be started for service qpopper"};
  // Before anything is asked: modules keep out hosts, and log them (the original told them afterwards).
  for (const int item : {PAM_RHOST, PAM_TTY}) {
    if (code == PAM_SUCCESS) code = pam.set_item(raw, item, client.c_str());
  }
  if (code == PAM_SUCCESS) {
    const auto delay = &do_not_delay;
    const void* pointer = nullptr;
    static_assert(sizeof pointer == sizeof delay);
    std::memcpy(&pointer, &delay, sizeof pointer);
    code = pam.set_item(raw, PAM_FAIL_DELAY, pointer);
  }
  if (code == PAM_SUCCESS) code = pam.authenticate(raw, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
  if (code == PAM_SUCCESS) code = pam.acct_mgmt(raw, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
  if (code != PAM_SUCCESS) return verdict(pam, raw, code);
  // A module may have mapped the user to another one, who has not been asked for.
  const void* name = nullptr;
  if (pam.get_item(raw, PAM_USER, &name) != PAM_SUCCESS || name == nullptr || user != static_cast<const char*>(name)) {
    return {ipc::SystemOutcome::refused, "PAM: a module made another user of it"};
  }
  return {ipc::SystemOutcome::accepted, {}};
}

}  // namespace qpop::checker
