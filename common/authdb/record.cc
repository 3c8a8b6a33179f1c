// SPDX-License-Identifier: MIT
// Records of the database as octets: fixed fields, little-endian, checksum last.
#include "common/authdb/record.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/authdb/octets.h"

namespace qpop::authdb {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;

constexpr std::uint8_t kFlagDisabled = 1;
constexpr std::uint8_t kFlagNoScram = 2;  // since version 2
constexpr std::size_t kAccountHead = 104;
constexpr std::size_t kMetaHead = 80;

Error damaged(std::string_view what) {
  return Error{ErrorKind::malformed, fmt::format("the record is damaged: {}", what)};
}

/// Version, length and checksum of any record; the body without its checksum. A version 2 record has at least the octets
/// of a version 1 one.
Result<std::string_view> open_envelope(std::string_view key, std::string_view value, std::size_t least) {
  if (value.empty()) return damaged("empty");
  const auto version = static_cast<unsigned char>(value.front());
  if (version == 0) return damaged("version 0");
  if (version > kRecordVersion) {
    return Error{ErrorKind::unsupported, fmt::format("the record has version {}, newer than this program", version)};
  }
  if (value.size() < least) return damaged("too short");
  const auto body = value.substr(0, value.size() - kChecksumOctets);
  if (!has_right_checksum(key, value)) return damaged("checksum");
  return body;
}

bool is_possible(std::uint32_t iterations) {
  return iterations >= kMinIterations && iterations <= kMaxIterations;
}

/// The length and octets of a crypt(3) string, or nothing left to read in a record of version 1.
bool read_crypt(Decoder& in, std::uint8_t version, std::string& crypt) {
  if (version < 2) return true;
  const auto size = in.number<std::uint16_t>();
  const auto text = in.take(size);
  if (text.size() != size || size > kMaxCryptOctets) return false;
  const bool printable = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
  crypt = text;
  return printable;
}

void write_crypt(Encoder& out, std::string_view crypt) {
  out.number(static_cast<std::uint16_t>(crypt.size()));
  out.octets(crypt);
}

}  // namespace

std::string encode_account(std::string_view name, const Account& account) {
  const ScramVerifier none{.iterations = 0};
  const auto& scram = account.scram ? *account.scram : none;
  Encoder out;
  out.number(kRecordVersion);
  out.number(static_cast<std::uint8_t>((account.disabled ? kFlagDisabled : 0) | (account.scram ? 0 : kFlagNoScram)));
  out.number(static_cast<std::uint16_t>(account.sealed_apop.size()));
  out.number(scram.iterations);
  out.octets(digest::view_of(scram.salt));
  out.octets(digest::view_of(scram.stored_key));
  out.octets(digest::view_of(scram.server_key));
  out.number(account.created);
  out.number(account.changed);
  write_crypt(out, account.crypt);
  out.octets(account.sealed_apop);
  return std::move(out).finish(name);
}

Result<Account> decode_account(std::string_view name, std::string_view value) {
  auto body = open_envelope(name, value, kAccountHead + kChecksumOctets);
  if (!body) return body.error();
  Decoder in{*body};
  Account account;
  ScramVerifier scram;
  const auto version = in.number<std::uint8_t>();
  const auto flags = in.number<std::uint8_t>();
  const auto sealed_octets = in.number<std::uint16_t>();
  scram.iterations = in.number<std::uint32_t>();
  in.octets(scram.salt);
  in.octets(scram.stored_key);
  in.octets(scram.server_key);
  account.created = in.number<std::int64_t>();
  account.changed = in.number<std::int64_t>();
  if ((flags & ~(kFlagDisabled | (version < 2 ? 0 : kFlagNoScram))) != 0) return damaged("unknown flag");
  const bool has_scram = (flags & kFlagNoScram) == 0;
  if (has_scram ? !is_possible(scram.iterations) : scram != ScramVerifier{.iterations = 0}) return damaged("iterations");
  if (!read_crypt(in, version, account.crypt)) return damaged("crypt string");
  if (in.rest().size() != sealed_octets || (sealed_octets != 0 && sealed_octets != digest::kSealedOctets)) {
    return damaged("length of the APOP secret");
  }
  if (has_scram) account.scram = scram;
  account.disabled = (flags & kFlagDisabled) != 0;
  account.sealed_apop = in.rest();
  return account;
}

std::string encode_meta(const Meta& meta) {
  Encoder out;
  out.number(kRecordVersion);
  out.number<std::uint8_t>(0);
  out.number<std::uint16_t>(0);
  out.number(meta.iterations);
  out.octets(digest::view_of(meta.public_key));
  out.octets(digest::view_of(meta.server_key));
  out.number(meta.created);
  write_crypt(out, meta.dummy_crypt);
  return std::move(out).finish(kMetaKey);
}

Result<Meta> decode_meta(std::string_view value) {
  auto body = open_envelope(kMetaKey, value, kMetaHead + kChecksumOctets);
  if (!body) return body.error();
  Decoder in{*body};
  Meta meta;
  const auto head = in.number<std::uint32_t>();
  meta.iterations = in.number<std::uint32_t>();
  in.octets(meta.public_key);
  in.octets(meta.server_key);
  meta.created = in.number<std::int64_t>();
  if (head > kRecordVersion) return damaged("unknown flag");
  if (!is_possible(meta.iterations)) return damaged("iterations");
  if (!read_crypt(in, static_cast<std::uint8_t>(head), meta.dummy_crypt)) return damaged("crypt string");
  if (!in.rest().empty()) return damaged("length");
  return meta;
}

}  // namespace qpop::authdb
