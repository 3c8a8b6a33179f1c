// SPDX-License-Identifier: MIT
// init, request, renew: keys and certificates of our own making.
#include <fmt/format.h>

#include <ctime>

#include "common/tls/issue.h"
#include "common/tls/judge.h"
#include "popcert/pair.h"
#include "popcert/verbs.h"

namespace qpop::popcert {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using tls::Certificate;

struct Authority {
  Certificate certificate;
  tls::KeyHandle key;
};

std::string in_words(const std::vector<std::string>& hosts) {
  std::string out;
  for (const auto& host : hosts) out += (out.empty() ? "" : ", ") + host;
  return out;
}

std::string requested_path(const Place& place) { return place.file + ".csr"; }

Result<Authority> load_authority(const Place& place) {
  auto certificate_file = read_file(authority_path(place));
  if (!certificate_file) return certificate_file.error();
  auto key_file = read_file(authority_key_path(place));
  if (!key_file) return key_file.error();
  auto certificates = tls::read_bundle(certificate_file->octets);
  auto keys = tls::read_bundle(key_file->octets);
  if (!certificates || !keys || certificates->certificates.empty() || keys->keys.empty() || !certificates->certificates.front().has_key(*keys->keys.front()))
    return Error{ErrorKind::malformed, "certificate and key of the private authority do not belong together"}.at("read", authority_path(place));
  return Authority{certificates->certificates.front().share(), std::move(keys->keys.front())};
}

/// The authority that is there, whatever is forced, because every client would have to be told of another; else a new one.
Result<Authority> authority_for(const Command& command, const Place& place, const std::string& host) {
  if (exists(authority_path(place)) || exists(authority_key_path(place))) return load_authority(place);
  auto key = tls::generate_key(command.key_kind);
  if (!key) return key.error();
  auto certificate = tls::make_authority(**key, fmt::format("Mail authority of {}", host), ::time(nullptr));
  if (!certificate) return certificate.error();
  auto key_text = tls::to_pem(**key);
  if (!key_text) return key_text.error();
  if (auto done = write_file(authority_key_path(place), key_text->view(), 0600, false); !done) return done.error();
  if (auto done = write_file(authority_path(place), certificate->pem(), 0644, false); !done) return done.error();
  return Authority{std::move(*certificate), std::move(*key)};
}

tls::ServerWish wish_of(const Command& command, std::vector<std::string> hosts) {
  return {.hosts = std::move(hosts), .now = ::time(nullptr), .days = command.days == 0 ? tls::kServerDays : command.days};
}

void tell_clients(const Place& place, const Certificate& own, bool by_authority, const std::vector<std::string>& hosts) {
  say(fmt::format("Certificate:  {}{}", place.file, place.key_file.empty() ? " (with its key)" : fmt::format(", key {}", place.key_file)));
  say(fmt::format("For:          {}", in_words(hosts)));
  say(fmt::format("Valid until:  {}", tls::format_time(own.not_after())));
  say(fmt::format("Fingerprint:  SHA-256 {}", own.fingerprint()));
  say("");
  say(fmt::format("In a client:  server {}, port 995 with SSL/TLS, or port 110 with STARTTLS; user name and password as before.", hosts.front()));
  if (by_authority) {
    say(fmt::format("Trust:        import {} as an authority into each client, once; later certificates need no further step.", authority_path(place)));
  } else {
    say("Trust:        the client asks once; accept when it shows the fingerprint above. With --ca clients need to be told only once for ever.");
  }
  say(fmt::format("Server:       set tls-server-cert-file = {}{}", place.file,
                  place.key_file.empty() ? "" : fmt::format(" and set tls-private-key-file = {}", place.key_file)));
  say(fmt::format("Check:        popcert check --host {}{}", hosts.front(), place.file == kDefaultFile ? "" : fmt::format(" --file {}", place.file)));
}

std::vector<std::string> hosts_of(const Command& command) {
  return command.hosts.empty() ? std::vector<std::string>{own_host_name()} : command.hosts;
}

base::Status make_pair(const Command& command, const Place& place) {
  if (auto done = make_folders(place.folder()); !done) return done;
  auto lock = FolderLock::take(place.folder());
  if (!lock) return lock.error();
  for (const auto& path : {place.file, place.key_path()}) {
    if (!command.force && exists(path)) return Error{ErrorKind::denied, "exists; popcert renew renews it, --force replaces it"}.at("write", path);
  }
  const auto hosts = hosts_of(command);
  for (const auto& host : hosts) {
    if (!tls::is_acceptable_host(host)) return Error{ErrorKind::malformed, "no host name and no address"}.at("--host", host);
  }
  auto key = tls::generate_key(command.key_kind);
  if (!key) return key.error();
  const auto wish = wish_of(command, hosts);
  auto own = [&]() -> Result<Certificate> {
    if (!command.private_authority) return tls::self_signed(**key, wish);
    auto authority = authority_for(command, place, hosts.front());
    if (!authority) return authority.error();
    return tls::signed_by(authority->certificate, *authority->key, **key, wish);
  }();
  if (!own) return own.error();
  std::vector<Certificate> chain;
  chain.push_back(own->share());
  if (auto done = store_pair(place, **key, chain, command.force); !done) return done;
  tell_clients(place, *own, command.private_authority, hosts);
  return {};
}

base::Status make_csr(const Command& command, const Place& place) {
  if (auto done = make_folders(place.folder()); !done) return done;
  auto lock = FolderLock::take(place.folder());
  if (!lock) return lock.error();
  const auto hosts = hosts_of(command);
  auto key = tls::generate_key(command.key_kind);
  if (!key) return key.error();
  auto text = tls::make_request(**key, hosts);
  if (!text) return text.error();
  auto key_text = tls::to_pem(**key);
  if (!key_text) return key_text.error();
  // The key waits beside the one in use until the certificate comes.
  if (auto done = write_file(waiting_key_path(place), key_text->view(), 0600, command.force); !done) return done;
  if (auto done = write_file(requested_path(place), *text, 0644, true); !done) return done;
  say(fmt::format("Request:      {} (for {})", requested_path(place), in_words(hosts)));
  say(fmt::format("Key:          {}; it stays here, and is used once the certificate is installed", waiting_key_path(place)));
  say("Next:         send the request to the authority, then: popcert install FILE... with what comes back");
  return {};
}

/// Self-signed by its own key, or signed by the private authority beside it.
Result<Certificate> successor(const Command& command, const Place& place, const Certificate& old, EVP_PKEY& key) {
  const auto wish = wish_of(command, old.host_names());
  if (old.is_self_signed()) return tls::self_signed(key, wish);
  auto authority = load_authority(place);
  if (!authority || !old.is_signed_by(authority->certificate)) {
    return Error{ErrorKind::denied, fmt::format("its authority is \"{}\", not popcert; let the authority's own client renew it", old.issuer())}.at("renew", place.file);
  }
  if (tls::days_left(authority->certificate, ::time(nullptr)) < wish.days)
    say(fmt::format("Warning: the private authority itself ends on {}; move ca.pem and ca.key away, popcert init --ca --force, and give the new ca.pem to the clients",
                    tls::format_time(authority->certificate.not_after())));
  return tls::signed_by(authority->certificate, *authority->key, key, wish);
}

base::Status renew_pair(const Command& command, const Place& place) {
  auto lock = FolderLock::take(place.folder());
  if (!lock) return lock.error();
  auto pair = load_pair(place);
  if (!pair) return pair.error();
  if (pair->chain.certificates.empty() || pair->key() == nullptr) return Error{ErrorKind::malformed, "no certificate or no key in it; see popcert check"}.at("renew", place.file);
  auto chain = tls::arrange_chain(pair->chain.certificates, *pair->key());
  if (!chain) return chain.error().at("renew", place.file);
  const Certificate& old = chain->certificates.front();
  const auto left = tls::days_left(old, ::time(nullptr));
  if (left >= command.warn_days && !command.force) {
    if (!command.quiet) say(fmt::format("{} is good for {} more days; nothing done", place.file, left));
    return {};
  }
  if (old.host_names().empty())
    return Error{ErrorKind::malformed, "the certificate names no host, so there is none to renew it for; popcert init --force --host NAME makes a new pair in its place"}.at("renew", place.file);
  // The key stays: clients that were told to trust a self-signed one by its key need not be told again.
  auto fresh = successor(command, place, old, *pair->key());
  if (!fresh) return fresh.error();
  std::vector<Certificate> sent;
  sent.push_back(fresh->share());
  if (auto done = store_pair(place, *pair->key(), sent, true); !done) return done;
  say(fmt::format("{} renewed until {}; fingerprint SHA-256 {}", place.file, tls::format_time(fresh->not_after()), fresh->fingerprint()));
  return {};
}

ExitCode run(const Command& command, base::Status (*work)(const Command&, const Place&)) {
  const auto place = place_of(command);
  if (!place) return fail(place.error());
  if (auto done = work(command, *place); !done) return fail(done.error());
  return ExitCode::ok;
}

}  // namespace

ExitCode init(const Command& command) { return run(command, make_pair); }
ExitCode request(const Command& command) { return run(command, make_csr); }
ExitCode renew(const Command& command) { return run(command, renew_pair); }

}  // namespace qpop::popcert
