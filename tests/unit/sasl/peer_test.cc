// SPDX-License-Identifier: MIT
// GNU SASL as client against our side of every mechanism: right and wrong secrets, channel binding, changed and reused messages.
#include <gsasl.h>

#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>

#include "common/digest/digest.h"
#include "common/sasl/message.h"
#include "common/sasl/scram.h"
#include "common/sasl/scram_server.h"

namespace {

using namespace qpop;
using sasl::Binding;
using sasl::Mechanism;

constexpr std::string_view kPassword = "pencil and paper";
constexpr std::uint32_t kIterations = 4096;

struct LibraryFree {
  void operator()(Gsasl* library) const { ::gsasl_done(library); }
};
struct SessionFree {
  void operator()(Gsasl_session* session) const { ::gsasl_finish(session); }
};

/// One exchange of the independent client.
class Peer {
 public:
  explicit Peer(const char* mechanism) {
    Gsasl* library = nullptr;
    BOOST_REQUIRE(::gsasl_init(&library) == GSASL_OK);
    library_.reset(library);
    Gsasl_session* session = nullptr;
    BOOST_REQUIRE_MESSAGE(::gsasl_client_start(library, mechanism, &session) == GSASL_OK, mechanism);
    session_.reset(session);
  }
  Peer& set(Gsasl_property property, std::string_view value) {
    BOOST_REQUIRE(::gsasl_property_set_raw(session_.get(), property, value.data(), value.size()) == GSASL_OK);
    return *this;
  }
  Peer& login(std::string_view user, std::string_view password) { return set(GSASL_AUTHID, user).set(GSASL_PASSWORD, password); }
  /// Octets in, octets out; last_code() tells whether the client is content.
  std::string step(std::string_view in) {
    char* out = nullptr;
    std::size_t size = 0;
    code_ = ::gsasl_step(session_.get(), in.data(), in.size(), &out, &size);
    std::string text = code_ == GSASL_OK || code_ == GSASL_NEEDS_MORE ? std::string{out, size} : std::string{};
    if (out != nullptr) ::gsasl_free(out);
    return text;
  }
  [[nodiscard]] int last_code() const { return code_; }

 private:
  std::unique_ptr<Gsasl, LibraryFree> library_;
  std::unique_ptr<Gsasl_session, SessionFree> session_;
  int code_ = GSASL_NEEDS_MORE;
};

/// Made from the password by the book, with none of our own account code.
sasl::ScramSecret secret_of(std::string_view password) {
  sasl::ScramSecret secret;
  secret.salt = "sixteen octets!!";
  secret.iterations = kIterations;
  const auto salted = digest::pbkdf2_sha256(password, secret.salt, kIterations);
  const auto client_key = digest::hmac_sha256(digest::view_of(salted), "Client Key");
  const std::array<std::string_view, 1> parts{digest::view_of(client_key)};
  secret.stored_key = digest::sha256(parts);
  secret.server_key = digest::hmac_sha256(digest::view_of(salted), "Server Key");
  return secret;
}

/// What became of an exchange.
enum class End { accepted, wrong_choice, syntax, not_bound, refused };

struct Exchange {
  Mechanism mechanism = Mechanism::scram_sha_256;
  sasl::ChannelFacts facts;
  sasl::MechanismSet announced = sasl::bit(Mechanism::scram_sha_256);
  std::string user{};  ///< as we read it
  std::string last{};  ///< the client's last message
  std::unique_ptr<sasl::ScramServer> server{};
  Binding binding = Binding::not_supported;

  End run(Peer& peer) {
    const auto message = peer.step("");
    const auto first = sasl::parse_client_first(message);
    if (!first) return End::syntax;
    user = first->user;
    binding = first->binding;
    if (!sasl::check_binding_choice(mechanism, first->binding, facts, announced)) return End::wrong_choice;
    server = std::make_unique<sasl::ScramServer>(secret_of(kPassword), first->bare, first->nonce);
    last = peer.step(server->first());
    return finish(peer, std::string{first->gs2_header});
  }
  End finish(Peer& peer, const std::string& header) {
    const auto final = sasl::parse_client_final(last);
    if (!final) return End::syntax;
    const bool bound = sasl::is_bound(header, binding, final->channel_input, facts);
    const auto signature = server->finish(final->without_proof, final->nonce, final->proof);
    if (!bound) return End::not_bound;
    if (!signature) return End::refused;
    (void)peer.step(*signature);
    return End::accepted;
  }
};

BOOST_AUTO_TEST_CASE(scram_right_password) {
  Peer peer{"SCRAM-SHA-256"};
  peer.login("ada", kPassword);
  Exchange exchange;
  BOOST_TEST((exchange.run(peer) == End::accepted));
  BOOST_TEST(peer.last_code() == GSASL_OK, "the client believes our signature");
  BOOST_TEST(exchange.user == "ada");
  BOOST_TEST((exchange.binding == Binding::not_supported));
}

BOOST_AUTO_TEST_CASE(scram_names_with_comma_and_equals_sign) {
  Peer peer{"SCRAM-SHA-256"};
  peer.login("a,b=c", kPassword);
  Exchange exchange;
  BOOST_TEST((exchange.run(peer) == End::accepted));
  BOOST_TEST(exchange.user == "a,b=c");
}

BOOST_AUTO_TEST_CASE(scram_wrong_password) {
  Peer peer{"SCRAM-SHA-256"};
  peer.login("ada", "pencil and Paper");
  BOOST_TEST((Exchange{}.run(peer) == End::refused));
}

BOOST_AUTO_TEST_CASE(scram_proof_serves_once) {
  Peer peer{"SCRAM-SHA-256"};
  peer.login("ada", kPassword);
  Exchange exchange;
  BOOST_REQUIRE((exchange.run(peer) == End::accepted));
  const auto final = sasl::parse_client_final(exchange.last);
  const auto again = exchange.server->finish(final->without_proof, final->nonce, final->proof);
  BOOST_TEST(!again.has_value());
  // The same client message against another exchange of the same user: our nonce is another one.
  sasl::ScramServer other{secret_of(kPassword), "n=ada,r=abc", "abc"};
  BOOST_TEST(!other.finish(final->without_proof, final->nonce, final->proof).has_value());
}

BOOST_AUTO_TEST_CASE(scram_changed_messages) {
  const auto run = [](auto change, auto then) {
    Peer peer{"SCRAM-SHA-256"};
    peer.login("ada", kPassword);
    const auto message = peer.step("");
    const auto first = sasl::parse_client_first(message);
    sasl::ScramServer server{secret_of(kPassword), first->bare, first->nonce};
    auto text = peer.step(server.first());
    const auto good = *sasl::parse_client_final(text);
    auto proof = good.proof;
    std::string nonce{good.nonce};
    std::string without{good.without_proof};
    change(without, nonce, proof);
    const auto result = server.finish(without, nonce, proof);
    BOOST_TEST(!result.has_value(), then);
    // Once wrong, the right one comes too late.
    BOOST_TEST(!server.finish(good.without_proof, good.nonce, good.proof).has_value(), then);
  };
  run([](auto&, auto&, auto& proof) { proof[0] ^= std::byte{1}; }, "a bit of the proof");
  run([](auto&, auto&, auto& proof) { proof = {}; }, "no proof");
  run([](auto&, auto& nonce, auto&) { nonce.back() ^= 1; }, "another nonce");
  run([](auto&, auto& nonce, auto&) { nonce.resize(nonce.size() - 24); }, "the client's part of the nonce only");
  run([](auto&, auto& nonce, auto&) { nonce.clear(); }, "no nonce");
  run([](auto& without, auto&, auto&) { without[2] = without[2] == 'b' ? 'c' : 'b'; }, "another channel binding");
}

BOOST_AUTO_TEST_CASE(scram_nonces_are_fresh) {
  const sasl::ScramServer one{secret_of(kPassword), "n=ada,r=abc", "abc"};
  const sasl::ScramServer two{secret_of(kPassword), "n=ada,r=abc", "abc"};
  BOOST_TEST(one.first() != two.first());
  BOOST_TEST(one.first().starts_with("r=abc"));
  BOOST_TEST(one.first().find(",s=c2l4dGVlbiBvY3RldHMhIQ==,i=4096") != std::string::npos, one.first());
}

const std::string kExporter(32, 'e');
const sasl::ChannelFacts kInside{kExporter, std::string(32, 'p'), ""};
constexpr sasl::MechanismSet kBoth = sasl::bit(Mechanism::scram_sha_256) | sasl::bit(Mechanism::scram_sha_256_plus);

BOOST_AUTO_TEST_CASE(plus_bound_by_the_exporter) {
  Peer peer{"SCRAM-SHA-256-PLUS"};
  peer.login("ada", kPassword).set(GSASL_CB_TLS_EXPORTER, digest::base64_encode(kExporter));
  Exchange exchange{.mechanism = Mechanism::scram_sha_256_plus, .facts = kInside, .announced = kBoth};
  BOOST_TEST((exchange.run(peer) == End::accepted));
  BOOST_TEST((exchange.binding == Binding::exporter));
  BOOST_TEST(peer.last_code() == GSASL_OK);
}

BOOST_AUTO_TEST_CASE(plus_through_somebody_in_the_middle) {
  Peer peer{"SCRAM-SHA-256-PLUS"};
  peer.login("ada", kPassword).set(GSASL_CB_TLS_EXPORTER, digest::base64_encode(std::string(32, 'm')));
  Exchange exchange{.mechanism = Mechanism::scram_sha_256_plus, .facts = kInside, .announced = kBoth};
  BOOST_TEST((exchange.run(peer) == End::not_bound));
}

BOOST_AUTO_TEST_CASE(plus_bound_by_an_older_type) {
  Peer peer{"SCRAM-SHA-256-PLUS"};
  peer.login("ada", kPassword).set(GSASL_CB_TLS_UNIQUE, digest::base64_encode("unique"));
  Exchange exchange{.mechanism = Mechanism::scram_sha_256_plus, .facts = kInside, .announced = kBoth};
  BOOST_TEST((exchange.run(peer) == End::wrong_choice));
  BOOST_TEST((exchange.binding == Binding::other));
}

/// GNU SASL neither knows tls-server-end-point nor ever says y: a client by the book, made of the primitives alone.
struct ByHand {
  Mechanism mechanism;
  std::string header;
  std::string channel{};  ///< what the client binds to
  sasl::MechanismSet announced = kBoth;
};
End run(const ByHand& client, const sasl::ChannelFacts& facts) {
  const std::string bare = "n=ada,r=clientnonce";
  const std::string message = client.header + bare;
  const auto first = sasl::parse_client_first(message);
  if (!first || !sasl::check_binding_choice(client.mechanism, first->binding, facts, client.announced)) return End::wrong_choice;
  sasl::ScramServer server{secret_of(kPassword), first->bare, first->nonce};
  const auto nonce = server.first().substr(2, server.first().find(',') - 2);
  const std::string without = "c=" + digest::base64_encode(client.header + client.channel) + ",r=" + nonce;
  const auto secret = secret_of(kPassword);
  const auto salted = digest::pbkdf2_sha256(kPassword, secret.salt, kIterations);
  auto proof = digest::hmac_sha256(digest::view_of(salted), "Client Key");
  const auto sign = digest::hmac_sha256(digest::view_of(secret.stored_key), bare + "," + server.first() + "," + without);
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] ^= sign[i];
  const std::string text = without + ",p=" + digest::base64_encode(digest::view_of(proof));
  const auto final = sasl::parse_client_final(text);
  if (!final) return End::syntax;
  const bool bound = sasl::is_bound(first->gs2_header, first->binding, final->channel_input, facts);
  if (!server.finish(final->without_proof, final->nonce, final->proof)) return End::refused;
  return bound ? End::accepted : End::not_bound;
}

BOOST_AUTO_TEST_CASE(plus_bound_by_the_server_certificate) {
  const ByHand client{Mechanism::scram_sha_256_plus, "p=tls-server-end-point,,", kInside.tls_server_end_point};
  BOOST_TEST((run(client, kInside) == End::accepted));
  BOOST_TEST((run(client, {}) == End::wrong_choice));
  BOOST_TEST((run({Mechanism::scram_sha_256_plus, client.header, std::string(32, 'x')}, kInside) == End::not_bound));
}

BOOST_AUTO_TEST_CASE(client_that_could_bind_and_was_not_shown_it) {
  BOOST_TEST((run({Mechanism::scram_sha_256, "y,,"}, kInside) == End::wrong_choice), "we announced it");
  BOOST_TEST((run({.mechanism = Mechanism::scram_sha_256, .header = "y,,", .announced = sasl::bit(Mechanism::scram_sha_256)}, {}) == End::accepted),
             "we did not");
  BOOST_TEST((run({Mechanism::scram_sha_256, "n,,"}, kInside) == End::accepted), "it cannot");
}

BOOST_AUTO_TEST_CASE(plain) {
  Peer peer{"PLAIN"};
  peer.login("ada", kPassword).set(GSASL_AUTHZID, "bob");
  const auto message = peer.step("");
  const auto got = sasl::parse_plain(message);
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST(got->authorization == "bob");
  BOOST_TEST(got->user == "ada");
  BOOST_TEST(got->password == kPassword);
}

BOOST_AUTO_TEST_CASE(login) {
  Peer peer{"LOGIN"};
  peer.login("ada", kPassword);
  BOOST_TEST(peer.step("Username:") == "ada");
  BOOST_TEST(peer.step("Password:") == kPassword);
}

BOOST_AUTO_TEST_CASE(cram_md5) {
  Peer peer{"CRAM-MD5"};
  peer.login("ada", kPassword);
  const std::string challenge = "<1896.697170952@postoffice.example>";
  const auto message = peer.step(challenge);
  const auto got = sasl::parse_cram_md5(message);
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST(got->user == "ada");
  BOOST_TEST(got->digest == digest::hmac_md5_hex(kPassword, challenge));
}

}  // namespace
