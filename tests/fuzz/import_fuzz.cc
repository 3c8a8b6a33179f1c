// SPDX-License-Identifier: MIT
// Files of other programs' secrets, and records of the database: an entry is usable or says why not, and what can be
// decoded comes out of the encoder again.
#include <cstdint>
#include <cstdlib>

#include "common/authdb/guesses.h"
#include "common/authdb/record.h"
#include "common/authdb/user_name.h"
#include "popauth/import_formats.h"

namespace {

using namespace qpop;
using popauth::Format;

void require(bool ok) {
  if (!ok) std::abort();
}

void check(const popauth::Entry& entry) {
  const int things = static_cast<int>(!entry.password.empty()) + static_cast<int>(entry.scram.has_value()) +
                     static_cast<int>(!entry.crypt.empty());
  require(!entry.where.empty());
  if (!entry.problem.empty()) return;
  require(things == 1 && authdb::is_acceptable_user_name(entry.name));
  authdb::Account account;
  account.scram = entry.scram;
  account.crypt = entry.crypt;
  const auto back = authdb::decode_account(entry.name, authdb::encode_account(entry.name, account));
  require(back && back->scram == account.scram && back->crypt == account.crypt);
}

void check_records(std::string_view bytes) {
  const auto account = authdb::decode_account("ada", bytes);
  if (account && bytes.front() == static_cast<char>(authdb::kRecordVersion)) {
    require(authdb::encode_account("ada", *account) == bytes);
  }
  (void)authdb::decode_meta(bytes).has_value();
  require(authdb::decode_guesses(bytes).size() <= authdb::kMaxGuessers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  (void)popauth::guess_text_format(bytes);
  for (const auto format : {Format::mailutils, Format::solid_pop3d, Format::dovecot, Format::text}) {
    for (const auto& entry : popauth::parse_text(format, bytes, "owner")) check(entry);
  }
  // Everything up to the first 0x01 is the key.
  const auto cut = bytes.find('\1');
  check(popauth::parse_record(bytes.substr(0, cut), cut == std::string_view::npos ? "" : bytes.substr(cut + 1), 1));
  check_records(bytes);
  return 0;
}
