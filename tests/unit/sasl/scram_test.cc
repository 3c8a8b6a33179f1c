// SPDX-License-Identifier: MIT
// SCRAM-SHA-256: the example of RFC 7677, the grammar, and what channel binding refuses.
#include "common/sasl/scram.h"

#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "common/sasl/scram_server.h"

namespace {

using namespace qpop::sasl;
using qpop::base::ErrorKind;
using namespace std::string_view_literals;

struct FirstCase {
  std::string_view name, message;
  bool right;
  Binding binding = Binding::not_supported;
  std::string_view header{}, authorization{}, user{}, nonce{};
};
std::ostream& operator<<(std::ostream& out, const FirstCase& c) { return out << c.name; }
constexpr std::array kFirst{
    FirstCase{"RFC 7677", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", true, Binding::not_supported, "n,,", "", "user", "rOprNGfwEbeRWgbNEkqO"},
    FirstCase{"y", "y,,n=user,r=abc", true, Binding::not_offered, "y,,", "", "user", "abc"},
    FirstCase{"exporter", "p=tls-exporter,,n=user,r=abc", true, Binding::exporter, "p=tls-exporter,,", "", "user", "abc"},
    FirstCase{"end point", "p=tls-server-end-point,,n=user,r=abc", true, Binding::server_end_point, "p=tls-server-end-point,,", "", "user", "abc"},
    FirstCase{"another type", "p=tls-unique,,n=user,r=abc", true, Binding::other, "p=tls-unique,,", "", "user", "abc"},
    FirstCase{"authorization", "n,a=bob,n=user,r=abc", true, Binding::not_supported, "n,a=bob,", "bob", "user", "abc"},
    FirstCase{"escapes", "n,a=x=2Cy,n=a=3Db=2Cc,r=abc", true, Binding::not_supported, "n,a=x=2Cy,", "x,y", "a=b,c", "abc"},
    FirstCase{"extension", "n,,n=user,r=abc,x=1", true, Binding::not_supported, "n,,", "", "user", "abc"},
    FirstCase{"mandatory extension", "n,,m=x,n=user,r=abc", false},
    FirstCase{"mandatory extension behind", "n,,n=user,r=abc,m=x", false},
    FirstCase{"unknown flag", "x,,n=user,r=abc", false},
    FirstCase{"no type", "p=,,n=user,r=abc", false},
    FirstCase{"one comma", "n,n=user,r=abc", false},
    FirstCase{"wrong escape", "n,,n=a=2cb,r=abc", false},
    FirstCase{"lone equals sign", "n,,n=a=,r=abc", false},
    FirstCase{"no user", "n,,n=,r=abc", false},
    FirstCase{"no nonce", "n,,n=user,r=", false},
    FirstCase{"control character in the nonce", "n,,n=user,r=a\x01" "b", false},
    FirstCase{"line end in the name", "n,,n=a\nb,r=abc", false},
    FirstCase{"NUL in the name", "n,,n=a\0b,r=abc"sv, false},
    FirstCase{"order", "n,,r=abc,n=user", false},
    FirstCase{"header only", "n,,", false},
    FirstCase{"flag only", "n", false},
    FirstCase{"empty", "", false},
};
BOOST_DATA_TEST_CASE(first_message_is_taken_apart_or_refused, boost::unit_test::data::make(kFirst), c) {
  const auto got = parse_client_first(c.message);
  BOOST_REQUIRE(got.has_value() == c.right);
  if (!got) return;
  BOOST_TEST((got->binding == c.binding));
  BOOST_TEST(got->gs2_header == c.header);
  BOOST_TEST(got->authorization == c.authorization);
  BOOST_TEST(got->user == c.user);
  BOOST_TEST(got->nonce == c.nonce);
  BOOST_TEST(got->bare == c.message.substr(c.header.size()));
}

BOOST_AUTO_TEST_CASE(pieces_fit_the_messages_between_processes) {
  const auto first = [](std::size_t user, std::size_t nonce) {
    return parse_client_first("n,,n=" + std::string(user, 'u') + ",r=" + std::string(nonce, 'r')).has_value();
  };
  BOOST_TEST(first(255, kMaxNonce));
  BOOST_TEST(!first(255, kMaxNonce + 1));
  BOOST_TEST(!first(256, 20));
  BOOST_TEST(!parse_client_first("n,,n=u,r=abc,x=" + std::string(kMaxFirstBare, 'x')).has_value());
}

constexpr std::string_view kFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

BOOST_AUTO_TEST_CASE(final_message_of_the_rfc) {
  const auto got = parse_client_final(kFinal);
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST(got->channel_input == "n,,");
  BOOST_TEST(got->nonce == "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
  BOOST_TEST(got->without_proof == kFinal.substr(0, kFinal.rfind(",p=")));
}

BOOST_AUTO_TEST_CASE(final_messages_that_are_none) {
  for (const auto bad : {""sv, "c=biws,r=abc"sv, "c=biws,r=abc,p="sv, "c=biws,r=abc,p=AAAA"sv, "c=b,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="sv,
                         "r=abc,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="sv,
                         "c=biws,r=,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="sv,
                         "c=biws,r=abc,m=1,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="sv,
                         "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=1"sv,
                         ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="sv}) {
    BOOST_TEST(!parse_client_final(bad).has_value(), bad);
  }
}

const ChannelFacts kOutside{};
const ChannelFacts kInside{std::string(32, 'e'), std::string(32, 'p'), ""};
constexpr MechanismSet kPlusToo = bit(Mechanism::scram_sha_256) | bit(Mechanism::scram_sha_256_plus);
constexpr MechanismSet kWithout = bit(Mechanism::scram_sha_256);

struct ChoiceCase {
  std::string_view name;
  Mechanism mechanism;
  Binding binding;
  bool inside;
  MechanismSet announced;
  bool right;
  ErrorKind kind = ErrorKind::malformed;
};
std::ostream& operator<<(std::ostream& out, const ChoiceCase& c) { return out << c.name; }
constexpr auto kScram = Mechanism::scram_sha_256;
constexpr auto kPlus = Mechanism::scram_sha_256_plus;
constexpr std::array kChoices{
    ChoiceCase{"n outside", kScram, Binding::not_supported, false, kWithout, true},
    ChoiceCase{"n inside: the client cannot", kScram, Binding::not_supported, true, kPlusToo, true},
    ChoiceCase{"y outside: we did not announce", kScram, Binding::not_offered, false, kWithout, true},
    ChoiceCase{"y though announced: downgrade", kScram, Binding::not_offered, true, kPlusToo, false, ErrorKind::denied},
    ChoiceCase{"y with plus though announced", kPlus, Binding::not_offered, true, kPlusToo, false, ErrorKind::denied},
    ChoiceCase{"p with plus, exporter", kPlus, Binding::exporter, true, kPlusToo, true},
    ChoiceCase{"p with plus, end point", kPlus, Binding::server_end_point, true, kPlusToo, true},
    ChoiceCase{"p without plus", kScram, Binding::exporter, true, kPlusToo, false},
    ChoiceCase{"plus with n", kPlus, Binding::not_supported, true, kPlusToo, false},
    ChoiceCase{"plus with y", kPlus, Binding::not_offered, false, kWithout, false},
    ChoiceCase{"plus with another type", kPlus, Binding::other, true, kPlusToo, false, ErrorKind::unsupported},
    ChoiceCase{"plus outside", kPlus, Binding::exporter, false, kWithout, false, ErrorKind::unsupported},
};
BOOST_DATA_TEST_CASE(choice_of_channel_binding, boost::unit_test::data::make(kChoices), c) {
  const auto got = check_binding_choice(c.mechanism, c.binding, c.inside ? kInside : kOutside, c.announced);
  BOOST_REQUIRE(got.has_value() == c.right);
  if (!got) BOOST_TEST((got.error().kind() == c.kind));
}

BOOST_AUTO_TEST_CASE(bound_to_this_channel_and_no_other) {
  BOOST_TEST(is_bound("n,,", Binding::not_supported, "n,,", kOutside));
  BOOST_TEST(!is_bound("y,,", Binding::not_offered, "n,,", kOutside));
  BOOST_TEST(!is_bound("n,,", Binding::not_supported, "y,,", kOutside));
  const std::string exporter = "p=tls-exporter,,";
  BOOST_TEST(is_bound(exporter, Binding::exporter, exporter + kInside.tls_exporter, kInside));
  BOOST_TEST(!is_bound(exporter, Binding::exporter, exporter + std::string(32, 'x'), kInside));
  BOOST_TEST(!is_bound(exporter, Binding::exporter, exporter + kInside.tls_server_end_point, kInside));
  BOOST_TEST(!is_bound(exporter, Binding::exporter, exporter, kInside));
  const std::string point = "p=tls-server-end-point,,";
  BOOST_TEST(is_bound(point, Binding::server_end_point, point + kInside.tls_server_end_point, kInside));
  BOOST_TEST(!is_bound(point, Binding::server_end_point, point + kInside.tls_exporter, kInside));
}

}  // namespace
