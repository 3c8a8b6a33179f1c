// SPDX-License-Identifier: MIT
// install, deploy-hook: takes over what others made, in whatever form.
#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "common/tls/judge.h"
#include "common/tls/key.h"
#include "popcert/pair.h"
#include "popcert/verbs.h"

namespace qpop::popcert {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using tls::Certificate;

struct Offered {
  std::vector<Certificate> certificates;
  std::vector<tls::KeyHandle> keys;
};

base::Status collect(const std::string& path, Offered& out) {
  auto file = read_file(path);
  if (!file) return file.error();
  auto bundle = tls::read_bundle(file->octets, ask_pass_phrase);
  if (!bundle) return bundle.error().at("read", path);
  if (bundle->encrypted_keys != 0) return Error{ErrorKind::denied, "the private key is encrypted, and the pass phrase was not right"}.at("read", path);
  if (bundle->certificates.empty() && bundle->keys.empty()) return Error{ErrorKind::malformed, "neither a certificate nor a key in it"}.at("read", path);
  for (auto& certificate : bundle->certificates) {
    if (std::ranges::find(out.certificates, certificate) == out.certificates.end()) out.certificates.push_back(std::move(certificate));
  }
  for (auto& key : bundle->keys) out.keys.push_back(std::move(key));
  return {};
}

/// Keys that are here already: of a request, or in use.
void add_own_keys(const Place& place, Offered& out) {
  for (const auto& path : {waiting_key_path(place), place.key_path()}) {
    if (auto file = read_file(path); file) {
      auto bundle = tls::read_bundle(file->octets);
      for (std::size_t i = 0; bundle && i < bundle->keys.size(); ++i) out.keys.push_back(std::move(bundle->keys[i]));
    }
  }
}

/// The key of a request is in its place now; a second copy of it would only lie about.
void drop_waiting_key(const Place& place, const EVP_PKEY& used) {
  auto file = read_file(waiting_key_path(place));
  auto bundle = file ? tls::read_bundle(file->octets) : base::Result<tls::Bundle>{file.error()};
  if (bundle && bundle->keys.size() == 1 && tls::same_public_key(*bundle->keys.front(), used)) ::unlink(waiting_key_path(place).c_str());
}

/// What must not be served: it would turn clients away. Everything else is said and taken.
Result<tls::Findings> refuse_bad(const tls::Chain& chain, const EVP_PKEY& key) {
  const auto findings = tls::judge_chain(chain.certificates, &key, {.hosts = {}, .now = ::time(nullptr), .warn_days = 21, .authorities = {}});
  for (const auto& finding : findings) {
    const bool fatal = finding.id == "expired" || finding.id == "weak-key" || finding.id == "weak-signature" || finding.id == "key-mismatch" ||
                       finding.id == "authority-served" || finding.id == "wrong-purpose";
    if (fatal) return Error{ErrorKind::denied, fmt::format("{}; {}", finding.text, finding.remedy)}.at("install");
  }
  return findings;
}

base::Status install_from(const Command& command, const Place& place, Offered offered, bool replace) {
  if (offered.certificates.empty()) return Error{ErrorKind::malformed, "no certificate was given"}.at("install");
  add_own_keys(place, offered);
  if (offered.keys.empty()) return Error{ErrorKind::not_found, "no private key was given, and none waits here from popcert request"}.at("install");
  for (const auto& key : offered.keys) {
    auto chain = tls::arrange_chain(offered.certificates, *key);
    if (!chain) continue;
    auto findings = refuse_bad(*chain, *key);
    if (!findings) return findings.error();
    if (auto done = make_folders(place.folder()); !done) return done;
    auto lock = FolderLock::take(place.folder());
    if (!lock) return lock.error();
    if (auto done = store_pair(place, *key, chain->certificates, replace); !done) return done;
    drop_waiting_key(place, *key);
    if (!command.quiet) {
      say(fmt::format("{}: {} certificate{}, for {}, valid until {}", place.file, chain->certificates.size(), chain->certificates.size() == 1 ? "" : "s",
                      chain->certificates.front().subject(), tls::format_time(chain->certificates.front().not_after())));
      if (!chain->roots.empty()) say("The root was left out: clients have it themselves.");
      for (const auto& other : chain->others) say(fmt::format("Left out: \"{}\" does not belong to this chain.", other.subject()));
    }
    for (const auto& finding : *findings) {
      if (finding.level >= tls::Level::warning) say(fmt::format("{}: {}; {}", tls::word(finding.level), finding.text, finding.remedy));
    }
    return {};
  }
  return Error{ErrorKind::denied, "no certificate belongs to any private key that is here; nothing was changed"}.at("install");
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

/// The files of a folder as the ACME clients lay them out: certbot (fullchain.pem, privkey.pem), dehydrated (the same), uacme (cert.pem in the folder of
/// the domain, the key elsewhere), lego (DOMAIN.crt, DOMAIN.issuer.crt, DOMAIN.key).
Result<std::vector<std::string>> files_in(const std::string& folder) {
  const std::unique_ptr<DIR, CloseDir> dir{::opendir(folder.c_str())};
  if (dir == nullptr) return Error::from_errno(errno, "opendir").at("read", folder);
  std::vector<std::string> out;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name.ends_with(".pem") || name.ends_with(".crt") || name.ends_with(".key") || name.ends_with(".cer")) out.push_back(fmt::format("{}/{}", folder, name));
  }
  std::ranges::sort(out);
  if (out.empty()) return Error{ErrorKind::not_found, "no .pem, .crt, .cer or .key file in it"}.at("read", folder);
  return out;
}

constexpr std::string_view kDeployStep = "deploy_cert";

/// A word such as "deploy_challenge", no path.
bool is_step(const std::string& word) {
  return !exists(word) && std::ranges::all_of(word, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

bool is_folder(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

const char* variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value != nullptr && *value != '\0' ? value : nullptr;
}

/// Arguments first: dehydrated calls deploy_cert DOMAIN KEY CERT FULLCHAIN CHAIN TIME, uacme and people give files or a folder. Then what
/// certbot (RENEWED_LINEAGE) and lego (LEGO_CERT_PATH, LEGO_CERT_KEY_PATH) put into the environment.
Result<std::vector<std::string>> renewed_files(const Command& command) {
  std::vector<std::string> out;
  if (!command.sources.empty() && command.sources.front() == kDeployStep) {
    if (command.sources.size() < 5) return Error{ErrorKind::malformed, "deploy_cert without its files"}.at("deploy-hook");
    return std::vector<std::string>{command.sources[2], command.sources[4]};
  }
  for (const auto& source : command.sources) {
    if (!is_folder(source)) {
      out.push_back(source);
      continue;
    }
    auto files = files_in(source);
    if (!files) return files.error();
    out.insert(out.end(), files->begin(), files->end());
  }
  if (!out.empty()) return out;
  if (const char* lineage = variable("RENEWED_LINEAGE"); lineage != nullptr) {
    return std::vector<std::string>{std::string{lineage} + "/privkey.pem", std::string{lineage} + "/fullchain.pem"};
  }
  if (const char* path = variable("LEGO_CERT_PATH"); path != nullptr) {
    out.emplace_back(path);
    if (const char* key = variable("LEGO_CERT_KEY_PATH"); key != nullptr) out.emplace_back(key);
    return out;
  }
  return Error{ErrorKind::malformed, "what was renewed? Give files or a folder, or let certbot or lego call it"}.at("deploy-hook");
}

}  // namespace

ExitCode install(const Command& command) {
  const auto place = place_of(command);
  if (!place) return fail(place.error());
  Offered offered;
  for (const auto& path : command.sources) {
    if (auto done = collect(path, offered); !done) return fail(done.error());
  }
  // A certificate for a key that is in use, or was requested, is what was waited for; another key in the same place is a replacement.
  const bool replace = command.force || offered.keys.empty() || !exists(place->file);
  if (auto done = install_from(command, *place, std::move(offered), replace); !done) return fail(done.error());
  return ExitCode::ok;
}

ExitCode deploy_hook(const Command& command) {
  // dehydrated calls its hook for every step, and for steps that nobody knows yet; deploy_cert is the one that counts.
  if (!command.sources.empty() && is_step(command.sources.front()) && command.sources.front() != kDeployStep) return ExitCode::ok;
  const auto place = place_of(command);
  if (!place) return fail(place.error());
  const auto files = renewed_files(command);
  if (!files) return fail(files.error());
  Offered offered;
  for (const auto& path : *files) {
    if (auto done = collect(path, offered); !done) return fail(done.error());
  }
  if (auto done = install_from(command, *place, std::move(offered), true); !done) return fail(done.error());
  return ExitCode::ok;
}

}  // namespace qpop::popcert
