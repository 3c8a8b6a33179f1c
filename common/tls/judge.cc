// SPDX-License-Identifier: MIT
// One function for each thing that can be wrong.
// Source: the findings are what clients of 2026 refuse, RFC 8446 section 4.4.2 (order), CA/Browser Forum baseline (size, digest, days).
#include "common/tls/judge.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>

#include "common/tls/key.h"

namespace qpop::tls {

namespace {

constexpr int kLeastRsaBits = 2048;
constexpr std::int64_t kDay = 86400;

void add(Findings& out, std::string id, Level level, std::string text, std::string remedy = {}) {
  out.push_back({std::move(id), level, std::move(text), std::move(remedy)});
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

/// The first certificate is of no use to a server. What ends that is one command, not another finding's.
std::string replace_first(const std::vector<Certificate>& sent, const EVP_PKEY* key) {
  const auto is_meant = [&](const Certificate& one) { return !one.is_authority() && !(one == sent.front()) && (key == nullptr || one.has_key(*key)); };
  if (sent.front().is_authority() && std::ranges::any_of(sent, is_meant)) return "popcert install --force FILE puts the server's own certificate first";
  std::string out = "popcert init --force --host NAME makes a new pair in its place";
  if (sent.front().is_authority()) return out + "; keep a copy of the old key if it signs other certificates";
  return out + (sent.front().is_self_signed() ? "" : ", or ask the authority for one with the name in SubjectAltName");
}

void judge_names(const std::vector<Certificate>& sent, const EVP_PKEY* key, const Wanted& wanted, Findings& out) {
  const Certificate& own = sent.front();
  const auto names = own.host_names();
  if (names.empty()) {
    const auto name = own.common_name();
    add(out, "no-names", Level::critical,
        fmt::format("the certificate has no SubjectAltName{}; clients no longer look at the common name", name.empty() ? "" : fmt::format(" (common name \"{}\")", name)),
        replace_first(sent, key));
    return;
  }
  bool all = true;
  for (const auto& host : wanted.hosts) {
    if (own.is_for(host)) continue;
    all = false;
    add(out, "name-mismatch", Level::critical, fmt::format("the certificate is for {}, not for {}", join(names), host),
        fmt::format("let clients connect to one of these names, or make a certificate for {}", host));
  }
  if (all && !wanted.hosts.empty()) add(out, "name", Level::ok, fmt::format("the certificate is for {}", join(wanted.hosts)));
}

void judge_dates(const Certificate& certificate, const char* which, const Wanted& wanted, Findings& out) {
  const auto left = days_left(certificate, wanted.now);
  if (wanted.now < certificate.not_before()) {
    add(out, "not-yet-valid", Level::critical, fmt::format("{} is valid from {} on only", which, format_time(certificate.not_before())),
        "set the clock of this host right, or wait");
  } else if (wanted.now > certificate.not_after()) {
    add(out, "expired", Level::critical, fmt::format("{} expired on {}", which, format_time(certificate.not_after())),
        "renew it: popcert renew for one made by popcert, otherwise the client of your authority (certbot renew)");
  } else if (left < wanted.warn_days) {
    add(out, "expires-soon", Level::warning, fmt::format("{} expires in {} days, on {}", which, left, format_time(certificate.not_after())),
        "renew it: popcert renew for one made by popcert, otherwise see why the client of your authority did not");
  } else {
    add(out, "dates", Level::ok, fmt::format("{} is valid for {} more days, until {}", which, left, format_time(certificate.not_after())));
  }
}

void judge_strength(const Certificate& certificate, const char* which, Findings& out) {
  const EVP_PKEY* key = certificate.public_key();
  if (key == nullptr) {
    add(out, "key-unknown", Level::critical, fmt::format("the public key of {} cannot be read", which), "popcert init --force --host NAME makes a new pair");
    return;
  }
  const bool rsa = EVP_PKEY_is_a(key, "RSA") == 1;
  if ((rsa && ::EVP_PKEY_get_bits(key) < kLeastRsaBits) || ::EVP_PKEY_get_security_bits(key) < 112) {
    add(out, "weak-key", Level::critical, fmt::format("{} has a weak key, {}", which, describe(*key)), "popcert init --force --host NAME makes a new pair, or popcert request one for an authority");
  }
  if (certificate.has_weak_signature() && !certificate.is_self_signed()) {
    add(out, "weak-signature", Level::critical, fmt::format("{} is signed with {}, which clients refuse", which, certificate.signature_digest()),
        "ask the authority for a new certificate; SHA-256 is usual");
  } else if (certificate.has_weak_signature()) {
    add(out, "weak-signature", Level::critical, fmt::format("{} is self-signed with {}, which clients refuse", which, certificate.signature_digest()),
        "popcert init --force --host NAME makes a new pair");
  }
}

void judge_purpose(const std::vector<Certificate>& sent, const EVP_PKEY* key, Findings& out) {
  const Certificate& own = sent.front();
  if (!own.is_for_servers()) {
    add(out, "wrong-purpose", Level::critical, "the certificate's extended key usage does not allow a server", "ask for a server certificate (serverAuth)");
  }
  if (own.is_authority() && own.host_names().empty()) {
    add(out, "authority-served", Level::critical,
        "the first certificate is one of an authority (CA:TRUE) and names no host; clients refuse it for a server, or ask their user to make an exception",
        replace_first(sent, key));
  }
  if (own.not_after() - own.not_before() > std::int64_t{kDay} * 399 && !own.is_self_signed()) {
    add(out, "long-lived", Level::note, "the certificate is valid for more than 398 days; Apple's clients refuse that of public authorities", "");
  }
}

/// Does a path lead to an authority of this host or to one of ours, dates aside?
bool is_trusted(const std::vector<Certificate>& sent, const std::vector<Certificate>& authorities) {
  const std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>> store{::X509_STORE_new()};
  const std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>> context{::X509_STORE_CTX_new()};
  const StackHandle others{sk_X509_new_null()};
  if (!store || !context || !others) return false;
  ::X509_STORE_set_default_paths(store.get());
  for (const auto& authority : authorities) ::X509_STORE_add_cert(store.get(), &authority.get());
  for (const auto& one : sent) {
    ::X509_up_ref(&one.get());
    if (sk_X509_push(others.get(), &one.get()) == 0) ::X509_free(&one.get());
  }
  if (::X509_STORE_CTX_init(context.get(), store.get(), &sent.front().get(), others.get()) != 1) return false;
  ::X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_NO_CHECK_TIME);
  // Weak signatures have a finding of their own.
  ::X509_VERIFY_PARAM_set_auth_level(::X509_STORE_CTX_get0_param(context.get()), 0);
  const bool trusted = ::X509_verify_cert(context.get()) == 1;
  ::ERR_clear_error();
  return trusted;
}

void judge_trust(const std::vector<Certificate>& sent, const Wanted& wanted, Findings& out) {
  if (is_trusted(sent, wanted.authorities)) {
    add(out, "trust", Level::ok, fmt::format("the chain of {} leads to a trusted authority", sent.size()));
  } else if (sent.size() == 1) {
    add(out, "chain-incomplete", Level::critical,
        fmt::format("the issuer \"{}\" is neither sent nor known to this host: most clients will refuse the certificate", sent.front().issuer()),
        "append the intermediate certificates of the authority (fullchain.pem, not cert.pem) with popcert install --force FILE...; --ca-file FILE names a private authority");
  } else {
    add(out, "unknown-authority", Level::warning, fmt::format("this host does not know the authority \"{}\"", sent.back().issuer()),
        "a private authority: clients must be given its certificate, and popcert check --ca-file FILE; otherwise an intermediate certificate is missing");
  }
}

/// Where does the sender's order break, and is everything there that leads to an authority a client may know?
void judge_order(const std::vector<Certificate>& sent, const Wanted& wanted, Findings& out) {
  const Certificate& own = sent.front();
  if (own.is_self_signed()) {
    add(out, "self-signed", Level::note, "the certificate is self-signed: each client has to be told to trust it",
        "give clients its fingerprint, or use popcert init --ca, or a public authority");
    if (sent.size() > 1) add(out, "stray-certificates", Level::warning, "more certificates follow a self-signed one", "popcert install --force FILE leaves out what does not belong there");
    return;
  }
  std::size_t at = 0;
  while (at + 1 < sent.size() && sent[at].is_signed_by(sent[at + 1])) ++at;
  const bool ordered = at + 1 == sent.size();
  if (!ordered) {
    const bool elsewhere = std::ranges::any_of(sent, [&](const Certificate& other) { return !(other == sent[at]) && sent[at].is_signed_by(other); });
    add(out, elsewhere ? "chain-order" : "stray-certificates", elsewhere ? Level::critical : Level::warning,
        elsewhere ? fmt::format("the chain is not in order: behind \"{}\" must come its issuer \"{}\"", sent[at].subject(), sent[at].issuer())
                  : fmt::format("behind \"{}\" comes a certificate that did not sign it, \"{}\"", sent[at].subject(), sent[at + 1].subject()),
        "popcert install --force FILE... puts them in order and leaves out what does not belong there");
  }
  if (wanted.trust) judge_trust(sent, wanted, out);
  const bool root = std::ranges::any_of(sent, [](const Certificate& other) { return other.is_self_signed(); });
  if (root) {
    add(out, "root-included", Level::note, "the chain holds the root, which clients have themselves and which costs octets in every handshake", "popcert install --force FILE leaves it out");
  }
}

}  // namespace

std::string_view word(Level level) {
  switch (level) {
    case Level::ok:
      return "ok";
    case Level::note:
      return "note";
    case Level::warning:
      return "warning";
    case Level::critical:
      break;
  }
  return "critical";
}

Level worst_of(const Findings& findings) {
  Level worst = Level::ok;
  for (const auto& finding : findings) worst = std::max(worst, finding.level);
  return worst;
}

std::int64_t days_left(const Certificate& certificate, std::int64_t now) { return (certificate.not_after() - now) / kDay; }

Findings judge_form(const Bundle& bundle, bool needs_key) {
  Findings out;
  if (bundle.byte_order_mark) {
    add(out, "byte-order-mark", Level::warning, "the file begins with a byte order mark, left by a Windows editor", "popcert install --force FILE writes it anew without");
  }
  if (bundle.windows_line_ends) add(out, "line-ends", Level::note, "the file has Windows line ends", "popcert install --force FILE writes it anew without");
  if (bundle.form != Form::pem) {
    add(out, "not-pem", Level::critical, "the file is not PEM; the server reads PEM alone", "popcert install --force FILE accepts DER, PKCS#7 and PKCS#12 and writes PEM");
  }
  if (bundle.damaged_blocks != 0) {
    add(out, "damaged", Level::critical, fmt::format("{} part{} of the file cannot be read", bundle.damaged_blocks, bundle.damaged_blocks == 1 ? "" : "s"),
        "fetch the certificate again; it was cut off or edited");
  }
  if (bundle.encrypted_keys != 0) {
    add(out, "key-encrypted", Level::critical, "the private key is encrypted; a server that starts by itself cannot open it",
        "popcert install --force FILE asks for the pass phrase once and writes the key without; its file mode protects it");
  }
  if (bundle.certificates.empty()) add(out, "no-certificate", Level::critical, "there is no certificate in the file", "popcert init --force --host NAME makes one");
  if (needs_key && bundle.keys.empty() && bundle.encrypted_keys == 0) {
    add(out, "no-key", Level::critical, "there is no private key in the file",
        "set tls-private-key-file if it lies in a file of its own, or put both together with popcert install --force FILE...");
  }
  if (bundle.keys.size() > 1) add(out, "several-keys", Level::warning, fmt::format("the file holds {} private keys; the first is used", bundle.keys.size()), "leave only the one that belongs to the certificate");
  return out;
}

Findings judge_chain(const std::vector<Certificate>& sent, const EVP_PKEY* key, const Wanted& wanted) {
  Findings out;
  if (sent.empty()) return out;
  const Certificate& own = sent.front();
  judge_names(sent, key, wanted, out);
  judge_dates(own, "the certificate", wanted, out);
  judge_strength(own, "the certificate", out);
  judge_purpose(sent, key, out);
  for (std::size_t i = 1; i < sent.size(); ++i) {
    const auto which = fmt::format("the issuer \"{}\"", sent[i].subject());
    if (wanted.now > sent[i].not_after()) judge_dates(sent[i], which.c_str(), wanted, out);
    if (!sent[i].is_self_signed()) judge_strength(sent[i], which.c_str(), out);
  }
  judge_order(sent, wanted, out);
  if (key == nullptr) return out;
  if (own.has_key(*key)) {
    add(out, "key", Level::ok, fmt::format("the private key belongs to the certificate ({})", describe(*key)));
  } else {
    const bool other = std::ranges::any_of(sent, [&](const Certificate& one) { return one.has_key(*key); });
    add(out, other ? "chain-order" : "key-mismatch", Level::critical,
        other ? "the private key belongs to a certificate further behind, not to the first" : "the private key does not belong to the certificate",
        other ? "popcert install --force FILE puts them in order" : "find the key that the certificate was requested with, or make a new pair");
  }
  return out;
}

}  // namespace qpop::tls
