// SPDX-License-Identifier: MIT
// What is taken over from other servers: their listings, headers with unique-ids of theirs, bulletins.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "common/mbox/from_line.h"
#include "common/mbox/header_field.h"
#include "common/mbox/qpopper_id.h"
#include "popper/maildrop/bulletins.h"
#include "popper/takeover/foreign_listing.h"

namespace {

using namespace qpop;

void require(bool ok) {
  if (!ok) std::abort();
}

bool is_unique_id(std::string_view id) {
  return !id.empty() && id.size() <= listing::kMaxUniqueId && std::ranges::all_of(id, [](char c) { return c >= 0x21 && c <= 0x7E; });
}

void check_header(std::string_view bytes) {
  std::size_t seen = 0;
  mbox::HeaderFields fields{bytes};
  while (const auto field = fields.next()) {
    require(!field->whole.empty() && field->whole.starts_with(field->first_line));
    seen += field->whole.size();
  }
  require(seen <= bytes.size());
  if (const auto id = mbox::stored_unique_id(bytes)) require(is_unique_id(*id));
  require(mbox::qpopper_unique_id(mbox::UniqueIdForm::base80, "From x\n", bytes).size() == 20U);
  require(is_unique_id(mbox::qpopper_unique_id(mbox::UniqueIdForm::base80, "From x\n", bytes)));
  (void)mbox::is_folder_internal(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  if (const auto entries = takeover::parse_foreign_listing(bytes)) {
    for (const auto& entry : *entries) require(is_unique_id(entry.unique_id) && entry.number >= 1);
    std::vector<listing::Record> records(3);
    for (const auto& match : takeover::match_entries(records, *entries)) require(!match || *match < entries->size());
  }
  check_header(bytes);
  if (const auto bulletin = maildrop::address_bulletin(bytes, "ada@example.org")) {
    require(bulletin->find("To: ada@example.org\n") != std::string::npos && bulletin->ends_with("\n"));
    require(mbox::is_from_line(std::string_view{*bulletin}.substr(0, bulletin->find('\n'))));
    require(maildrop::address_bulletin(*bulletin, "ada@example.org").value() == *bulletin);
  }
  return 0;
}
