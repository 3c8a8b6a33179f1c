// SPDX-License-Identifier: MIT
// Records of the original's bulletin database.
#include "popper/takeover/bulletin_database.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <ostream>
#include <string>

namespace {

using namespace qpop::takeover;

template <class Number>
std::string octets(Number number) {
  std::string out(sizeof number, '\0');
  std::memcpy(out.data(), &number, sizeof number);
  return out;
}

std::string with_nul(const char* name) { return std::string{name} + '\0'; }

struct RecordCase {
  const char* name;
  std::string key, value;
  std::string want;  // "name=number", or what the fault begins with
};
std::ostream& operator<<(std::ostream& out, const RecordCase& c) { return out << c.name; }

const RecordCase kRecords[] = {
    {"long", with_nul("ada"), octets(std::int64_t{17}), "ada=17"},
    {"long of a 32-bit host", with_nul("ada"), octets(std::int32_t{17}), "ada=17"},
    {"nothing seen", with_nul("ada"), octets(std::int64_t{0}), "ada=0"},
    {"a date with seconds", with_nul("ada"), octets(std::int64_t{20'261'125'235'959}), "20261125235959 is not the number"},
    {"the highest", with_nul("ada"), octets(std::int64_t{4'000'000'000'000}), "ada=4000000000000"},
    {"one more", with_nul("ada"), octets(std::int64_t{4'000'000'000'001}), "4000000000001 is not the number"},
    {"negative", with_nul("ada"), octets(std::int64_t{-1}), "-1 is not the number"},
    {"negative, 32 bits", with_nul("ada"), octets(std::int32_t{-2}), "-2 is not the number"},
    {"the lowest", with_nul("ada"), octets(INT64_MIN), "-9223372036854775808 is not the number"},
    {"no value", with_nul("ada"), "", "a value of 0 octets"},
    {"two octets", with_nul("ada"), "12", "a value of 2 octets"},
    {"nine octets", with_nul("ada"), octets(std::int64_t{1}) + "x", "a value of 9 octets"},
    {"name without its NUL", "ada", octets(std::int64_t{1}), "ada=1"},
    {"no name", "", octets(std::int64_t{1}), "not a user name"},
    {"NUL alone", std::string(1, '\0'), octets(std::int64_t{1}), "not a user name"},
    {"NUL inside", with_nul("ada") + "x" + '\0', octets(std::int64_t{1}), "not a user name"},
    {"two NULs", with_nul("ada") + '\0', octets(std::int64_t{1}), "not a user name"},
    {"a path is for the accounts to judge", with_nul("../ada"), octets(std::int64_t{1}), "../ada=1"},
};

BOOST_DATA_TEST_CASE(reads_or_refuses_record, kRecords, c) {
  const auto record = parse_bulletin_record(c.key, c.value);
  const auto got = record ? record->name + "=" + std::to_string(record->number) : record.error().detail();
  BOOST_TEST((record ? got == c.want : got.starts_with(c.want)), got);
}

}  // namespace
