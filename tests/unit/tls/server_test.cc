// SPDX-License-Identifier: MIT
// The server's end of TLS against OpenSSL's client, over a socket pair: certificates by name and kind of key, ALPN, versions, resumption, channel binding.
#include "common/tls/client_proof.h"
#include "common/tls/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <ctime>
#include <map>

#include "common/base/unique_fd.h"
#include "common/tls/issue.h"
#include "common/tls/key.h"

namespace {

using namespace qpop;
using namespace qpop::tls;
using Outcome = Connection::Outcome;

/// What lies in the signer's process otherwise.
struct Signer {
  std::vector<KeyHandle> keys;
  std::map<std::string, std::string, std::less<>> sessions;
  unsigned signatures = 0;
};

/// One for the whole program: the library keeps the hook for signatures.
Signer& signer() {
  static Signer instance;
  return instance;
}

Server& server() {
  static Server instance = [] {
    Hooks hooks;
    hooks.sign = [](const SignRequest& request) {
      ++signer().signatures;
      return sign_digest(*signer().keys.at(request.key), request);
    };
    hooks.store = [](std::string_view id, std::string_view session) { signer().sessions[std::string{id}] = session; };
    hooks.find = [](std::string_view id, bool once) {
      const auto found = signer().sessions.find(id);
      if (found == signer().sessions.end()) return std::string{};
      auto session = found->second;
      if (once) signer().sessions.erase(found);
      return session;
    };
    auto prepared = Server::prepare(std::move(hooks));
    BOOST_REQUIRE(prepared.has_value());
    return std::move(*prepared);
  }();
  return instance;
}

Identity identity_for(KeyKind kind, std::vector<std::string> hosts) {
  auto key = generate_key(kind);
  BOOST_REQUIRE(key.has_value());
  auto certificate = self_signed(**key, {.hosts = std::move(hosts), .now = ::time(nullptr), .days = 10});
  BOOST_REQUIRE(certificate.has_value());
  Identity out;
  out.key = static_cast<std::uint32_t>(signer().keys.size());
  out.chain.push_back(std::move(*certificate));
  signer().keys.push_back(std::move(*key));
  return out;
}

void configure(std::vector<Identity> identities) {
  Profile profile;
  profile.identities = std::move(identities);
  auto octets = encode(profile);
  auto read = decode(octets);
  BOOST_REQUIRE(read.has_value());
  BOOST_REQUIRE(server().configure(std::move(*read)).has_value());
}

void configure_one(KeyKind kind) {
  std::vector<Identity> one;
  one.push_back(identity_for(kind, {"mail.example.org"}));
  configure(std::move(one));
}

struct ClientWish {
  const char* name = nullptr;
  std::string alpn{};
  int version = 0;
  const char* signature_algorithms = nullptr;
  SSL_SESSION* session = nullptr;
  const char* groups = nullptr;
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
};

using ClientContext = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using ClientSession = std::unique_ptr<SSL_SESSION, Deleter<SSL_SESSION_free>>;

/// A client and the server's connection, after their handshake or its failure.
struct Meeting {
  base::UniqueFd client_fd, server_fd;
  ClientContext context{::SSL_CTX_new(::TLS_client_method())};
  std::unique_ptr<SSL, Deleter<SSL_free>> client;
  std::unique_ptr<Connection> connection;
  Outcome outcome = Outcome::failed;
  bool client_done = false;

  explicit Meeting(const ClientWish& wish) {
    std::array<int, 2> ends{};
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
    client_fd.reset(ends[0]);
    server_fd.reset(ends[1]);
    if (wish.version != 0) {
      SSL_CTX_set_min_proto_version(context.get(), wish.version);
      SSL_CTX_set_max_proto_version(context.get(), wish.version);
      ::SSL_CTX_set_security_level(context.get(), 0);
    }
    if (wish.signature_algorithms != nullptr)
      BOOST_REQUIRE(::SSL_CTX_ctrl(context.get(), SSL_CTRL_SET_SIGALGS_LIST, 0, const_cast<char*>(wish.signature_algorithms)) == 1);
    if (!wish.alpn.empty())
      BOOST_REQUIRE(::SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(wish.alpn.data()), static_cast<unsigned>(wish.alpn.size())) == 0);
    if (wish.groups != nullptr) BOOST_REQUIRE(SSL_CTX_set1_groups_list(context.get(), const_cast<char*>(wish.groups)) == 1);
    if (wish.certificate != nullptr) BOOST_REQUIRE(::SSL_CTX_use_cert_and_key(context.get(), wish.certificate, wish.key, nullptr, 1) == 1);
    client.reset(::SSL_new(context.get()));
    if (wish.name != nullptr)
      BOOST_REQUIRE(::SSL_ctrl(client.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(wish.name)) == 1);
    if (wish.session != nullptr) ::SSL_set_session(client.get(), wish.session);
    ::SSL_set_fd(client.get(), client_fd.get());
    ::SSL_set_connect_state(client.get());
    auto made = server().connect(server_fd.get());
    BOOST_REQUIRE(made.has_value());
    connection = std::move(*made);
    for (int i = 0; i < 20 && !(client_done && outcome == Outcome::done); ++i) {
      client_done = client_done || ::SSL_do_handshake(client.get()) == 1;
      if (outcome != Outcome::done) outcome = connection->handshake();
      if (outcome == Outcome::failed || outcome == Outcome::closed) break;
    }
    ::ERR_clear_error();
  }
  [[nodiscard]] bool met() const { return client_done && outcome == Outcome::done; }
  [[nodiscard]] const X509* certificate() const { return ::SSL_get0_peer_certificate(client.get()); }
  [[nodiscard]] std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    ::SSL_get0_alpn_selected(client.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  /// Octets from the server to the client; also takes in what TLS 1.3 sends behind the handshake.
  std::string greet() {
    std::size_t put = 0;
    BOOST_REQUIRE(connection->write("+OK\r\n", put) == Outcome::done);
    std::array<char, 100> buffer{};
    const int got = ::SSL_read(client.get(), buffer.data(), buffer.size());
    return {buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0U};
  }
  [[nodiscard]] std::string exporter() const {
    std::string out(32, '\0');
    const unsigned char none = 0;
    ::SSL_export_keying_material(client.get(), reinterpret_cast<unsigned char*>(out.data()), out.size(), "EXPORTER-Channel-Binding", 24, &none, 0, 1);
    return out;
  }
};

bool is(const X509* certificate, const Identity& identity) { return certificate != nullptr && ::X509_cmp(certificate, &identity.chain.front().get()) == 0; }

Identity copy(const Identity& identity) {
  Identity out{identity.key, {}};
  for (const auto& certificate : identity.chain) out.chain.push_back(certificate.share());
  return out;
}

BOOST_AUTO_TEST_CASE(a_client_that_reads_slowly_gets_all_in_order) {
  configure_one(KeyKind::ecdsa_p256);
  Meeting meeting{{}};
  BOOST_REQUIRE(meeting.met());
  std::string answer;
  for (unsigned i = 0; answer.size() < 2'000'000; ++i) answer += fmt::format("line {}\r\n", i);
  std::string got;
  std::vector<char> buffer(50'000);
  std::size_t put = 0;
  unsigned full = 0;
  while (put < answer.size() || meeting.connection->waiting()) {
    std::size_t taken = 0;
    const auto outcome = meeting.connection->write(std::string_view{answer}.substr(put), taken);
    put += taken;
    if (outcome == Outcome::done) continue;
    BOOST_REQUIRE((outcome == Outcome::want_write));
    ++full;
    if (const int read = ::SSL_read(meeting.client.get(), buffer.data(), static_cast<int>(buffer.size())); read > 0) got.append(buffer.data(), static_cast<std::size_t>(read));
  }
  for (int read = 1; read > 0;) {
    read = ::SSL_read(meeting.client.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (read > 0) got.append(buffer.data(), static_cast<std::size_t>(read));
  }
  BOOST_TEST(full > 0U);
  BOOST_TEST((got == answer));
}

BOOST_AUTO_TEST_CASE(certificate_follows_the_name_and_what_the_client_can_verify) {
  const auto mail_ec = identity_for(KeyKind::ecdsa_p256, {"mail.example.org"});
  const auto mail_rsa = identity_for(KeyKind::rsa_2048, {"mail.example.org"});
  const auto other = identity_for(KeyKind::ecdsa_p256, {"pop.example.net", "*.wild.example"});
  struct Case {
    const char* what;
    ClientWish wish;
    const Identity* want;
  };
  const std::array cases{
      Case{"no name: the first", {}, &mail_ec},
      Case{"first name", {.name = "mail.example.org"}, &mail_ec},
      Case{"case does not matter", {.name = "MAIL.example.org"}, &mail_ec},
      Case{"other name", {.name = "pop.example.net"}, &other},
      Case{"wildcard", {.name = "a.wild.example"}, &other},
      Case{"unknown name: the first", {.name = "unknown.example"}, &mail_ec},
      Case{"client that verifies RSA only", {.name = "mail.example.org", .signature_algorithms = "RSA-PSS+SHA256"}, &mail_rsa},
      Case{"client that verifies RSA only, 1.2", {.name = "mail.example.org", .version = TLS1_2_VERSION, .signature_algorithms = "RSA+SHA256"}, &mail_rsa},
      Case{"client that verifies ECDSA only, 1.2", {.version = TLS1_2_VERSION, .signature_algorithms = "ECDSA+SHA256"}, &mail_ec},
  };
  for (const auto& one : cases) {
    std::vector<Identity> all;
    for (const auto* identity : {&mail_ec, &mail_rsa, &other}) all.push_back(copy(*identity));
    configure(std::move(all));
    Meeting meeting{one.wish};
    BOOST_TEST_CONTEXT(one.what) {
      BOOST_TEST(meeting.met());
      BOOST_TEST(is(meeting.certificate(), *one.want));
      BOOST_TEST(meeting.greet() == "+OK\r\n");
    }
  }
}

BOOST_AUTO_TEST_CASE(alpn_is_strict) {
  configure({});
  configure_one(KeyKind::ecdsa_p256);
  struct Case {
    const char* what;
    std::string offered;
    bool met;
  };
  using namespace std::string_literals;
  const std::array cases{Case{"none", ""s, true}, Case{"pop3", "\4pop3"s, true}, Case{"among others", "\2h2\4pop3\10http/1.1"s, true},
                         Case{"another protocol", "\4imap"s, false}, Case{"http", "\2h2\10http/1.1"s, false}, Case{"longer name", "\5pop3s"s, false}};
  for (const auto& one : cases) {
    Meeting meeting{{.alpn = one.offered}};
    BOOST_TEST_CONTEXT(one.what) {
      BOOST_TEST(meeting.met() == one.met);
      if (one.met && !one.offered.empty()) BOOST_TEST(meeting.protocol() == "pop3");
      if (!one.met) BOOST_TEST(!meeting.connection->failure().empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(versions_below_1_2_are_refused) {
  configure_one(KeyKind::rsa_2048);
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) BOOST_TEST(!Meeting{{.version = version}}.met());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) BOOST_TEST(Meeting{{.version = version}}.met());
}

BOOST_AUTO_TEST_CASE(session_is_resumed_once_with_1_3_and_again_with_1_2) {
  configure_one(KeyKind::ecdsa_p256);
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    signer().sessions.clear();
    ClientSession kept;
    {
      Meeting first{{.version = version}};
      BOOST_REQUIRE(first.met());
      BOOST_TEST(first.greet() == "+OK\r\n");
      BOOST_TEST(!first.connection->facts().resumed);
      kept.reset(::SSL_get1_session(first.client.get()));
      ::SSL_shutdown(first.client.get());  // else the library takes the session for spoilt
    }
    BOOST_TEST(signer().sessions.size() == 1U);
    const auto before = signer().signatures;
    Meeting second{{.version = version, .session = kept.get()}};
    BOOST_REQUIRE(second.met());
    BOOST_TEST(second.connection->facts().resumed);
    BOOST_TEST(signer().signatures == before);
    BOOST_TEST(second.greet() == "+OK\r\n");
    ::SSL_shutdown(second.client.get());
    Meeting third{{.version = version, .session = kept.get()}};
    BOOST_REQUIRE(third.met());
    BOOST_TEST(third.connection->facts().resumed == (version == TLS1_2_VERSION));
  }
}

BOOST_AUTO_TEST_CASE(session_that_was_tampered_with_is_not_resumed) {
  configure_one(KeyKind::ecdsa_p256);
  Meeting first{{.version = TLS1_3_VERSION}};
  BOOST_REQUIRE(first.met());
  (void)first.greet();
  const ClientSession kept{::SSL_get1_session(first.client.get())};
  BOOST_REQUIRE(!signer().sessions.empty());
  for (auto& [id, session] : signer().sessions) session.resize(session.size() / 2);
  Meeting second{{.version = TLS1_3_VERSION, .session = kept.get()}};
  BOOST_REQUIRE(second.met());
  BOOST_TEST(!second.connection->facts().resumed);
}

BOOST_AUTO_TEST_CASE(both_ends_see_the_same_channel) {
  configure_one(KeyKind::ecdsa_p256);
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    Meeting one{{.version = version}};
    Meeting other{{.version = version}};
    BOOST_REQUIRE((one.met() && other.met()));
    const auto facts = one.connection->facts();
    BOOST_TEST(facts.exporter == one.exporter());
    BOOST_TEST(facts.exporter != other.connection->facts().exporter);
    std::array<unsigned char, 32> digest{};
    unsigned size = 0;
    BOOST_REQUIRE(::X509_digest(one.certificate(), ::EVP_sha256(), digest.data(), &size) == 1);
    BOOST_TEST(facts.server_end_point == std::string(reinterpret_cast<const char*>(digest.data()), size));
    BOOST_TEST(facts.version == (version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2"));
  }
}

/// An authority, and a client's certificate of it.
struct ClientIdentity {
  KeyHandle authority_key, key;
  Certificate authority, certificate;
};

/// Made by hand: the library of popcert makes certificates of servers, and authorities for those alone.
Certificate certify(const std::string& name, EVP_PKEY& key, const X509* issuer, EVP_PKEY& issuer_key) {
  X509Handle made{::X509_new()};
  ::X509_set_version(made.get(), 2);
  ::ASN1_INTEGER_set(::X509_get_serialNumber(made.get()), 7);
  ::X509_gmtime_adj(::X509_getm_notBefore(made.get()), -3600);
  ::X509_gmtime_adj(::X509_getm_notAfter(made.get()), 86400);
  ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(made.get()), "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  ::X509_set_issuer_name(made.get(), ::X509_get_subject_name(issuer == nullptr ? made.get() : issuer));
  ::X509_set_pubkey(made.get(), &key);
  if (issuer == nullptr) {
    const ExtensionHandle authority{::X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE")};
    BOOST_REQUIRE((authority && ::X509_add_ext(made.get(), authority.get(), -1) == 1));
  }
  BOOST_REQUIRE(::X509_sign(made.get(), &issuer_key, ::EVP_sha256()) > 0);
  return Certificate{std::move(made)};
}

ClientIdentity client_identity(const std::string& name) {
  auto authority_key = generate_key(KeyKind::ecdsa_p256);
  auto key = generate_key(KeyKind::ecdsa_p256);
  BOOST_REQUIRE((authority_key && key));
  static int number = 0;  // the context keeps the authorities of earlier tests
  auto authority = certify(fmt::format("Clients {}", ++number), **authority_key, nullptr, **authority_key);
  auto certificate = certify(name, **key, &authority.get(), **authority_key);
  return {std::move(*authority_key), std::move(*key), std::move(authority), std::move(certificate)};
}

struct Proven {
  Identity server;
  ClientIdentity client = client_identity("ada");
  Profile profile;
  std::string proof;

  explicit Proven(const char* groups = nullptr, KeyKind kind = KeyKind::ecdsa_p256) : server(identity_for(kind, {"mail.example.org"})) {
    const auto make_profile = [this] {
      Profile out;
      out.identities.push_back(copy(server));
      out.client_authorities.push_back(client.authority.share());
      return out;
    };
    BOOST_REQUIRE(::server().configure(make_profile()).has_value());
    Meeting meeting{{.groups = groups, .certificate = &client.certificate.get(), .key = client.key.get()}};
    BOOST_REQUIRE(meeting.met());
    proof = meeting.connection->client_proof();
    BOOST_REQUIRE(!proof.empty());
    profile = make_profile();
  }
};

BOOST_AUTO_TEST_CASE(certificate_of_a_client_is_proven_to_who_was_not_there) {
  // P-521 first: the server asks for another ClientHello (its first choice has no key share), which changes the transcript.
  for (const char* groups : {static_cast<const char*>(nullptr), "P-521"}) {
    for (const auto kind : {KeyKind::ecdsa_p256, KeyKind::rsa_2048}) {
      const Proven proven{groups, kind};
      const auto name = verify_client(proven.proof, proven.profile, ::time(nullptr));
      BOOST_REQUIRE_MESSAGE(name.has_value(), (name ? "" : name.error().message()));
      BOOST_TEST(*name == "ada");
    }
  }
}

BOOST_AUTO_TEST_CASE(any_change_of_a_proof_is_noticed) {
  const Proven proven;
  for (std::size_t at = 0; at < proven.proof.size(); ++at) {
    auto changed = proven.proof;
    changed[at] = static_cast<char>(changed[at] ^ (at % 2 == 0 ? 1 : 0x80));
    BOOST_TEST(!verify_client(changed, proven.profile, ::time(nullptr)).has_value(), "octet " << at);
  }
  for (std::size_t size = 0; size < proven.proof.size(); size += 13) BOOST_TEST(!verify_client(proven.proof.substr(0, size), proven.profile, ::time(nullptr)).has_value());
  BOOST_TEST(!verify_client(proven.proof + proven.proof, proven.profile, ::time(nullptr)).has_value());
}

BOOST_AUTO_TEST_CASE(proof_for_another_server_or_authority_or_time_is_refused) {
  const Proven proven;
  const Proven other;
  const auto now = ::time(nullptr);
  Profile elsewhere;
  elsewhere.identities.push_back(copy(other.server));
  elsewhere.client_authorities.push_back(proven.client.authority.share());
  BOOST_TEST(verify_client(proven.proof, elsewhere, now).error().message().find("another server") != std::string::npos);
  Profile strangers;
  strangers.identities.push_back(copy(proven.server));
  strangers.client_authorities.push_back(other.client.authority.share());
  BOOST_TEST(!verify_client(proven.proof, strangers, now).has_value());
  BOOST_TEST(!verify_client(proven.proof, proven.profile, now + 10L * 86400).has_value());
  BOOST_TEST(!verify_client(proven.proof, proven.profile, now - 10L * 86400).has_value());
}

BOOST_AUTO_TEST_CASE(no_proof_without_a_certificate_or_with_1_2) {
  const Proven proven;
  BOOST_TEST(Meeting{{}}.connection->client_proof().empty());
  Meeting old{{.version = TLS1_2_VERSION, .certificate = &proven.client.certificate.get(), .key = proven.client.key.get()}};
  BOOST_REQUIRE(old.met());
  BOOST_TEST(old.connection->client_proof().empty());
  const auto stranger = client_identity("ada");
  Meeting strange{{.certificate = &stranger.certificate.get(), .key = stranger.key.get()}};
  BOOST_REQUIRE(strange.met());
  BOOST_TEST(strange.connection->client_proof().empty());
}

BOOST_AUTO_TEST_CASE(other_protocols_are_named) {
  configure_one(KeyKind::ecdsa_p256);
  struct Case {
    std::string_view sent, want;
  };
  for (const auto& one : {Case{"GET / HTTP/1.1\r\n\r\n", "the client speaks HTTP"}, Case{"USER ada\r\nPASS secret\r\n", "the client does not speak TLS"}}) {
    std::array<int, 2> ends{};
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
    const base::UniqueFd ours{ends[0]}, theirs{ends[1]};
    BOOST_REQUIRE(::write(ours.get(), one.sent.data(), one.sent.size()) == static_cast<ssize_t>(one.sent.size()));
    auto connection = server().connect(theirs.get());
    BOOST_REQUIRE(connection.has_value());
    BOOST_TEST(((*connection)->handshake() == Outcome::failed));
    BOOST_TEST((*connection)->failure() == one.want);
  }
}

BOOST_AUTO_TEST_CASE(ciphers_are_checked) {
  BOOST_TEST(check_ciphers("").has_value());
  BOOST_TEST(check_ciphers("ECDHE+AESGCM").has_value());
  BOOST_TEST(!check_ciphers("NO-SUCH-CIPHER").has_value());
}

BOOST_AUTO_TEST_CASE(profile_survives_the_way_between_processes) {
  Profile profile;
  profile.ciphers = "ECDHE+AESGCM";
  profile.only_1_3 = true;
  profile.identities.push_back(identity_for(KeyKind::ecdsa_p256, {"a.example"}));
  profile.identities.push_back(identity_for(KeyKind::rsa_2048, {"b.example"}));
  profile.client_authorities.push_back(profile.identities[0].chain[0].share());
  const auto octets = encode(profile);
  const auto back = decode(octets);
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST(back->ciphers == profile.ciphers);
  BOOST_TEST(back->only_1_3);
  BOOST_TEST(!back->only_1_2);
  BOOST_REQUIRE(back->identities.size() == 2U);
  BOOST_TEST(back->identities[1].key == profile.identities[1].key);
  BOOST_TEST((back->identities[1].chain == profile.identities[1].chain));
  BOOST_TEST((back->client_authorities == profile.client_authorities));
  BOOST_TEST(octets.find("PRIVATE") == std::string::npos);
  // By descriptor: whole, wherever it stands, and again.
  const base::UniqueFd file{::memfd_create("profile", MFD_CLOEXEC)};
  BOOST_TEST(!read_profile(file.get()).has_value());
  BOOST_TEST(::write(file.get(), octets.data(), octets.size()) == static_cast<ssize_t>(octets.size()));
  for (int i = 0; i < 2; ++i) {
    const auto read = read_profile(file.get());
    BOOST_REQUIRE(read.has_value());
    BOOST_TEST(encode(*read) == octets);
  }
  BOOST_TEST(::lseek(file.get(), 0, SEEK_CUR) == static_cast<off_t>(octets.size()));
  BOOST_TEST(::ftruncate(file.get(), kMostProfileOctets + 1) == 0);
  BOOST_TEST((read_profile(file.get()).error().kind() == base::ErrorKind::malformed));
  for (const auto& damaged : {std::string{}, octets.substr(0, 5), octets.substr(0, octets.size() / 2), "x" + octets}) BOOST_TEST(!decode(damaged).has_value());
}

}  // namespace
