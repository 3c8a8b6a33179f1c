// SPDX-License-Identifier: MIT
// Command line and password rule of popauth.
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "popauth/command_line.h"
#include "popauth/quality.h"

namespace {

using namespace qpop::popauth;

/// argv that can be written to, as the real one.
struct Words {
  explicit Words(std::vector<std::string> words) : texts(std::move(words)) {
    texts.insert(texts.begin(), "popauth");
    for (auto& text : texts) pointers.push_back(text.data());
  }
  auto parse() { return parse_command_line(static_cast<int>(pointers.size()), pointers.data()); }
  std::vector<std::string> texts;
  std::vector<char*> pointers;
};

struct Accepted {
  std::vector<std::string> words;
  Verb verb;
  std::string user, password;
};

BOOST_AUTO_TEST_CASE(accepts) {
  const Accepted cases[] = {
      {{}, Verb::set, "", ""},
      {{"-user", "ada"}, Verb::set, "ada", ""},
      {{"--user", "ada"}, Verb::set, "ada", ""},
      {{"-user", "ada", "secret"}, Verb::set, "ada", "secret"},
      {{"-user", "ada", "-stdin"}, Verb::set, "ada", ""},
      {{"-stdin", "-user", "ada"}, Verb::set, "ada", ""},
      {{"-delete", "ada"}, Verb::remove, "ada", ""},
      {{"-list"}, Verb::list, "", ""},
      {{"-list", "ALL"}, Verb::list, "ALL", ""},
      {{"-init", "-safe"}, Verb::init, "", ""},
      {{"-safe", "-init", "-db", "/x"}, Verb::init, "", ""},
      {{"-trace", "/tmp/x", "-list"}, Verb::list, "", ""},
      {{"-help"}, Verb::help, "", ""},
      {{"--version"}, Verb::version, "", ""},
  };
  for (const auto& c : cases) {
    Words words{c.words};
    const auto got = words.parse();
    BOOST_REQUIRE_MESSAGE(got, (c.words.empty() ? "none" : c.words[0]));
    BOOST_TEST((got->verb == c.verb));
    BOOST_TEST(got->user == c.user);
    BOOST_TEST(got->password.view() == c.password);
    BOOST_TEST(got->has_password == !c.password.empty());
  }
}

BOOST_AUTO_TEST_CASE(refuses_and_wipes) {
  const std::vector<std::vector<std::string>> cases = {
      {"-user"},
      {"-user", "-stdin"},
      {"-user", ""},
      {"-delete"},
      {"-nonsense"},
      {"ada"},
      {"-user", "a", "b", "c"},
      {"-list", "a", "b"},
      {"-user", "a", "-delete", "a"},
      {"-safe"},
      {"-stdin", "-list"},
      {"-user", "a", "b", "-stdin"},
      {"-db"},
      {"-"},
      {"-user", "a", std::string(256, 'p')},
      std::vector<std::string>(20, "-safe"),
      {std::string(2000, 'x')},
  };
  for (const auto& c : cases) {
    Words words{c};
    BOOST_TEST(!words.parse(), c[0]);
  }
  Words words{{"-user", "ada", "secret", "more"}};
  BOOST_TEST(!words.parse());
  BOOST_TEST(words.texts[3] == std::string(6, '\0'));
  BOOST_TEST(words.texts[4] == std::string(4, '\0'));
}

BOOST_AUTO_TEST_CASE(password_on_the_command_line_is_wiped) {
  Words words{{"-user", "ada", "secret"}};
  BOOST_REQUIRE(words.parse());
  BOOST_TEST(words.texts[3] == std::string(6, '\0'));
}

struct QualityCase {
  const char* password;
  std::string_view want;
};
constexpr std::string_view kLonger = "Please use a longer password.";
constexpr std::string_view kLetter = "Please use at least one non-numeric character.";
constexpr QualityCase kQuality[] = {
    {"aB3x", ""},       {"aB3", kLonger}, {"ab!c", ""},   {"a!", kLonger},    {"1234", kLetter}, {"123456789", kLetter},
    {"abcde", kLonger}, {"abcdef", ""},   {"ABCDEF", ""}, {"abcD", kLonger},  {"abcDe", ""},     {"abc12", ""},
    {"ab12", kLonger},  {"12!4", ""},     {"a", kLonger}, {"\xC3\xA4xy", ""},
};

BOOST_AUTO_TEST_CASE(advice_on_passwords) {
  for (const auto& c : kQuality) BOOST_TEST(advice_on(c.password) == c.want, c.password);
}

}  // namespace
