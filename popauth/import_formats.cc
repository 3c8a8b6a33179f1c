// SPDX-License-Identifier: MIT
// Parsers of other programs' secrets.
#include "popauth/import_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <span>

#include "common/authdb/user_name.h"
#include "common/base/text.h"
#include "common/digest/hmac_state.h"

namespace qpop::popauth {

using base::Secret;

namespace {

struct FormatName {
  Format format;
  std::string_view name;
};
constexpr std::array kFormats{FormatName{Format::qpopper, "qpopper"}, FormatName{Format::mailutils, "mailutils"},
                              FormatName{Format::solid_pop3d, "solid-pop3d"}, FormatName{Format::dovecot, "dovecot"},
                              FormatName{Format::text, "text"}};

constexpr std::string_view kSolidWord = "APOPSecret";
constexpr std::size_t kNowhere = std::string_view::npos;

/// Each line without its LF (or CR LF).
template <class Visit>
void for_each_line(std::string_view text, const Visit& visit) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.remove_prefix(end == kNowhere ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    visit(line, number);
  }
}

bool is_comment(std::string_view line) {
  const auto text = base::trim(line);
  return text.empty() || text.front() == '#';
}

/// The next field up to `separator`, which is taken as well.
std::string_view take_field(std::string_view& rest, char separator) {
  const auto end = rest.find(separator);
  const auto field = rest.substr(0, end);
  rest.remove_prefix(end == kNowhere ? rest.size() : end + 1);
  return field;
}

void set_password(Entry& entry, std::string_view password) {
  if (password.empty()) {
    entry.problem = "no password";
  } else if (password.find_first_of(std::string_view{"\0\r\n", 3}) != kNowhere) {
    entry.problem = "the password holds NUL, CR or LF, which no POP3 command can carry";
  } else if (!entry.password.assign(password)) {
    entry.problem = "password longer than 255 octets";
  }
}

/// Every octet inverted; wiped with the Secret it goes to.
void set_inverted(Entry& entry, std::string_view hidden) {
  std::string plain{hidden};
  for (char& c : plain) c = static_cast<char>(~c);
  set_password(entry, plain);
  base::wipe(plain.data(), plain.size());
}

int hex_digit(char c) {
  if (base::is_digit(c)) return c - '0';
  const char lower = base::to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Two digits for each octet; nothing when it is not that.
std::optional<std::string> from_hex(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  std::string octets;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const int high = hex_digit(digits[i]), low = hex_digit(digits[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    octets += static_cast<char>(high * 16 + low);
  }
  return octets;
}

template <std::size_t N>
bool decode_exactly(std::string_view text, std::array<std::byte, N>& out) {
  auto raw = digest::base64_decode(text);
  if (!raw || raw->size() != N) return false;
  std::transform(raw->begin(), raw->end(), out.begin(), [](char c) { return static_cast<std::byte>(c); });
  return true;
}

/// iterations,salt,StoredKey,ServerKey
void set_scram(Entry& entry, std::string_view data) {
  authdb::ScramVerifier scram;
  const auto iterations = base::parse_decimal(take_field(data, ','));
  if (!iterations || *iterations < authdb::kMinIterations || *iterations > authdb::kMaxIterations) {
    entry.problem = "SCRAM-SHA-256 with a number of iterations that is not accepted here";
    return;
  }
  scram.iterations = static_cast<std::uint32_t>(*iterations);
  const bool salt = decode_exactly(take_field(data, ','), scram.salt);
  const bool keys = decode_exactly(take_field(data, ','), scram.stored_key) && decode_exactly(data, scram.server_key);
  if (salt && keys) {
    entry.scram = scram;
  } else {
    entry.problem = salt ? "SCRAM-SHA-256 keys are damaged" : "SCRAM-SHA-256 salt has not 16 octets";
  }
}

void set_crypt(Entry& entry, std::string_view crypt) {
  const bool printable = std::ranges::all_of(crypt, [](char c) { return c > ' ' && c < 0x7F; });
  // A brace would make it one of the other schemes of the database.
  if (crypt.size() < 13 || crypt.front() == '{' || crypt.size() > authdb::kMaxCryptOctets || !printable) {
    entry.problem = "not a crypt(3) string";
  } else if (crypt.front() == '*' || crypt.front() == '!') {
    entry.problem = "locked";
  } else {
    entry.crypt = crypt;
  }
}

void set_cram_md5(Entry& entry, std::string_view digits) {
  if (digits.size() != digest::kHmacStateDigits || !from_hex(digits)) {
    entry.problem = "CRAM-MD5 without its 64 hexadecimal digits";
    return;
  }
  entry.crypt = authdb::kCramMd5Scheme;
  std::ranges::transform(digits, std::back_inserter(entry.crypt), base::to_lower);
}

constexpr std::array<std::string_view, 4> kPlainSchemes{"PLAIN", "CLEAR", "CLEARTEXT", "PLAIN.UTF8"};
constexpr std::array<std::string_view, 7> kCryptSchemes{"CRYPT",     "MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT",
                                                        "BLF-CRYPT", "DES-CRYPT", "YESCRYPT"};

bool is_one_of(std::string_view scheme, std::span<const std::string_view> list) {
  return std::ranges::any_of(list, [&](std::string_view one) { return base::equal_ignoring_case(one, scheme); });
}

/// Length of "{SCHEME}" at the beginning, 0 when there is none.
std::size_t scheme_octets(std::string_view field) {
  const auto end = field.find('}');
  return field.starts_with('{') && end != kNowhere && end <= 32 ? end + 1 : 0;
}

void set_scheme(Entry& entry, std::string_view field) {
  const auto head = scheme_octets(field);
  if (head == 0) return set_crypt(entry, field);  // Dovecot's default scheme for passwd-files
  const auto scheme = field.substr(1, head - 2);
  const auto data = field.substr(head);
  if (is_one_of(scheme, kPlainSchemes)) return set_password(entry, data);
  if (is_one_of(scheme, kCryptSchemes)) return set_crypt(entry, data);
  if (base::equal_ignoring_case(scheme, "SCRAM-SHA-256")) return set_scram(entry, data);
  if (base::equal_ignoring_case(scheme, "CRAM-MD5")) return set_cram_md5(entry, data);
  entry.problem = fmt::format("scheme {{{}}} cannot be used here", base::escape_untrusted(scheme, 40));
}

Entry parse_dovecot(std::string_view line) {
  Entry entry;
  entry.name = take_field(line, ':');
  set_scheme(entry, take_field(line, ':'));
  for (int i = 0; i < 5; ++i) take_field(line, ':');  // uid, gid, gecos, home, shell
  while (!line.empty()) {
    const auto word = take_field(line, ' ');
    entry.disabled |= word == "nologin" || word.starts_with("nologin=");
  }
  return entry;
}

Entry parse_pair(std::string_view line, bool trimmed) {
  Entry entry;
  if (line.find(':') == kNowhere) {
    entry.problem = "no colon after the name";
    return entry;
  }
  entry.name = trimmed ? base::trim(take_field(line, ':')) : take_field(line, ':');
  set_password(entry, trimmed ? base::trim(line) : line);
  return entry;
}

/// "APOPSecret HEX [mailbox]"; other lines of the file are no matter of ours.
std::optional<Entry> parse_solid(std::string_view line, std::string_view owner) {
  auto rest = base::trim(line);
  if (!base::equal_ignoring_case(take_field(rest, ' '), kSolidWord)) return std::nullopt;
  Entry entry;
  entry.name = owner;
  rest = base::trim(rest);
  const auto hidden = from_hex(take_field(rest, ' '));
  if (!base::trim(rest).empty()) {
    entry.problem = "a secret for a mailbox of its own, which there is not here";
  } else if (!hidden) {
    entry.problem = "not hexadecimal digits";
  } else {
    set_inverted(entry, *hidden);
  }
  return entry;
}

std::optional<Entry> parse_line(Format format, std::string_view line, std::string_view owner) {
  switch (format) {
    case Format::dovecot:
      return parse_dovecot(line);
    case Format::solid_pop3d:
      return parse_solid(line, owner);
    case Format::mailutils:
      return parse_pair(line, true);
    case Format::text:
      return parse_pair(line, false);
    case Format::qpopper:
      break;
  }
  return std::nullopt;
}

void check_name(Entry& entry) {
  if (!entry.problem.empty() || authdb::is_acceptable_user_name(entry.name)) return;
  entry.problem = "not an acceptable user name";
  entry.password.clear();
}

}  // namespace

std::optional<Format> format_of_name(std::string_view name) {
  const auto found = std::ranges::find(kFormats, name, &FormatName::name);
  return found != kFormats.end() ? std::optional{found->format} : std::nullopt;
}

std::string_view name_of(Format format) {
  return std::ranges::find(kFormats, format, &FormatName::format)->name;
}

Format guess_text_format(std::string_view text) {
  bool solid = false, scheme = false, blank = true;
  std::size_t pairs = 0;
  for_each_line(text, [&](std::string_view line, std::size_t) {
    if (is_comment(line)) return;
    solid |= base::starts_with_ignoring_case(base::trim(line), "APOPSecret ");
    const auto colon = line.find(':');
    if (colon == kNowhere) return;
    ++pairs;
    scheme |= scheme_octets(line.substr(colon + 1)) != 0;
    blank &= line.substr(colon + 1).starts_with(' ');
  });
  if (solid) return Format::solid_pop3d;
  if (scheme) return Format::dovecot;
  return blank && pairs != 0 ? Format::mailutils : Format::text;
}

std::string doubt_about_text(std::string_view text) {
  std::string doubt;
  for_each_line(text, [&](std::string_view line, std::size_t number) {
    if (!doubt.empty()) return;
    if (number == 1 && line.starts_with("# POP accounts: ")) doubt = "a list made by -export holds no passwords; for a copy of the database use -backup and -restore";
    const auto colon = line.find(':');
    if (is_comment(line) || colon == kNowhere) return;
    const auto secret = base::trim(line.substr(colon + 1));
    const bool odd = std::ranges::count(secret, ':') > 1 || secret.starts_with("$") || secret == "*" || secret == "!";
    if (odd)
      doubt = fmt::format("line {} looks like one of passwd, shadow or another program, not like name:password; name its format (-format dovecot for crypt strings, "
                          "-format text where all behind the first colon is the password)", number);
  });
  return doubt;
}

Entries parse_text(Format format, std::string_view text, std::string_view owner) {
  Entries entries;
  for_each_line(text, [&](std::string_view line, std::size_t number) {
    if (is_comment(line)) return;
    auto entry = parse_line(format, line, owner);
    if (!entry) return;
    entry->where = fmt::format("line {}", number);
    check_name(*entry);
    entries.push_back(std::move(*entry));
  });
  return entries;
}

Entry parse_record(std::string_view key, std::string_view value, std::size_t number) {
  Entry entry;
  entry.where = fmt::format("record {}", number);
  const bool ours = key.ends_with('\0');
  if (ours) key.remove_suffix(1);
  while (!ours && (key.ends_with(':') || key.ends_with(' ')))
    key.remove_suffix(1);  // mailutils keeps them from its text
  entry.name = key;
  const auto secret = take_field(value, '\0');
  const bool hidden = ours && !secret.empty() && static_cast<unsigned char>(secret.front()) >= 0x80;
  if (hidden) {
    set_inverted(entry, secret);
  } else if (secret.empty() && !value.empty()) {
    entry.problem = "only a SCRAM-MD5 verifier, which serves no mechanism here";
  } else {
    set_password(entry, secret);  // very old files of the original hide nothing
  }
  check_name(entry);
  return entry;
}

}  // namespace qpop::popauth
