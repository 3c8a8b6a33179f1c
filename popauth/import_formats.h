// SPDX-License-Identifier: MIT
// Files of secrets of other programs, as entries. No descriptor, no database; every octet is hostile.
//
// Source  pop.auth of the original (gdbm: name NUL -> octets inverted NUL [SCRAM-MD5 verifier NUL]); popauth(1) of GNU
//         mailutils 3.15 (gdbm or "name: password"); ~/.spop3d of solid-pop3d 0.15 ("APOPSecret HEX [mailbox]", octets
//         inverted); Dovecot's passwd-file (name:{SCHEME}data:uid:gid:gecos:home:shell:extra).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/authdb/account.h"
#include "common/base/secret.h"

namespace qpop::popauth {

enum class Format : std::uint8_t { qpopper, mailutils, solid_pop3d, dovecot, text };

[[nodiscard]] std::optional<Format> format_of_name(std::string_view name);
[[nodiscard]] std::string_view name_of(Format format);

/// What one line or record says. Exactly one of `password`, `scram`, `crypt` and `problem` is set.
struct Entry {
  std::string name;
  std::string where;  ///< "line 3", "record 3"
  base::Secret password;
  std::optional<authdb::ScramVerifier> scram;
  std::string crypt;
  bool disabled = false;
  std::string problem;  ///< why it cannot be used, without a secret in it
};
using Entries = std::vector<Entry>;

/// Guesses the format of a text: dovecot when a password begins with "{SCHEME}", solid-pop3d when a line begins with
/// its words, mailutils when every colon is followed by a blank, else text.
[[nodiscard]] Format guess_text_format(std::string_view text);

/// What speaks against taking a text of no named format for lines of name:password, in words with the line; "": nothing. Files of passwd,
/// shadow and -export are such, and their fields would become passwords.
[[nodiscard]] std::string doubt_about_text(std::string_view text);

/// `owner`: login name for formats that do not hold one (solid-pop3d).
[[nodiscard]] Entries parse_text(Format format, std::string_view text, std::string_view owner);

/// A record of a gdbm file, of Qpopper when its key ends in NUL, else of mailutils.
[[nodiscard]] Entry parse_record(std::string_view key, std::string_view value, std::size_t number);

}  // namespace qpop::popauth
