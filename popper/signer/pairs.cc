// SPDX-License-Identifier: MIT
// Judges pairs before they are served.
// Runs as: tls-user, without files.
#include "popper/signer/pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/tls/bundle.h"
#include "common/tls/key.h"

namespace qpop::signer {

namespace {

using base::Error;
using base::ErrorKind;

/// What clients judge for themselves: the certificates of many old installations are like this, and their users once told their clients to take them.
constexpr std::array<std::string_view, 3> kServedAnyway{"no-names", "authority-served", "wrong-purpose"};

bool is_served_anyway(const tls::Finding& finding) { return std::ranges::find(kServedAnyway, finding.id) != kServedAnyway.end(); }

std::string sentence(const tls::Finding& finding) { return finding.remedy.empty() ? finding.text : fmt::format("{}; {}", finding.text, finding.remedy); }

/// The first thing that keeps clients from being served.
base::Status refuse_critical(const tls::Findings& findings) {
  const auto bad = std::ranges::find_if(findings, [](const tls::Finding& finding) { return finding.level == tls::Level::critical && !is_served_anyway(finding); });
  return bad == findings.end() ? base::Status{} : base::Status{Error{ErrorKind::malformed, sentence(*bad)}};
}

tls::Findings judge(const std::vector<tls::Certificate>& chain, const EVP_PKEY* key, std::int64_t now) {
  tls::Wanted wanted;
  wanted.now = now;
  wanted.warn_days = kWarnDays;
  wanted.trust = false;  // clients decide whom they trust, and there is no file to be read here
  return tls::judge_chain(chain, key, wanted);
}

std::string names_of(const tls::Certificate& certificate) {
  const auto names = certificate.host_names();
  if (names.empty()) return certificate.subject();
  return names.size() == 1 ? names.front() : fmt::format("{} and {} more names", names.front(), names.size() - 1);
}

}  // namespace

base::Result<Pair> read_pair(std::string_view certificate_file, std::string_view key_file, bool own_key_file, std::int64_t now) {
  auto bundle = tls::read_bundle(certificate_file);
  if (!bundle) return bundle.error();
  auto findings = tls::judge_form(*bundle, !own_key_file);
  std::vector<tls::KeyHandle> keys = std::move(bundle->keys);
  if (own_key_file) {
    auto key_bundle = tls::read_bundle(key_file);
    if (!key_bundle) return key_bundle.error();
    if (key_bundle->encrypted_keys != 0 && key_bundle->keys.empty()) return Error{ErrorKind::malformed, "the private key is encrypted; write it anew without a pass phrase"};
    if (key_bundle->keys.empty()) return Error{ErrorKind::malformed, "there is no private key in the key file"};
    keys = std::move(key_bundle->keys);
  }
  if (auto fine = refuse_critical(findings); !fine) return fine.error();
  if (keys.empty() || bundle->certificates.empty()) return Error{ErrorKind::malformed, "key or certificate is missing"};
  if (auto fine = refuse_critical(judge(bundle->certificates, keys.front().get(), now)); !fine) return fine.error();
  return Pair{std::move(bundle->certificates), std::shared_ptr<EVP_PKEY>{keys.front().release(), ::EVP_PKEY_free}};
}

base::Result<std::vector<tls::Certificate>> read_authorities(std::string_view file) {
  auto bundle = tls::read_bundle(file);
  if (!bundle) return bundle.error();
  if (bundle->certificates.empty()) return Error{ErrorKind::malformed, "there is no certificate in the file"};
  return std::move(bundle->certificates);
}

std::string describe(const Pair& pair, std::int64_t now) {
  const auto& own = pair.chain.front();
  return fmt::format("for {}, {}, chain of {}, valid until {} ({} days)", names_of(own), tls::describe(*pair.key), pair.chain.size(), tls::format_time(own.not_after()),
                     tls::days_left(own, now));
}

std::string daily_warning(const Pair& pair, std::int64_t now) {
  const auto& own = pair.chain.front();
  const auto left = tls::days_left(own, now);
  for (const auto& finding : judge(pair.chain, nullptr, now)) {
    if (is_served_anyway(finding)) return sentence(finding);
  }
  if (now > own.not_after()) return fmt::format("the certificate for {} expired on {}; renew it: popcert renew, or the client of its authority", names_of(own), tls::format_time(own.not_after()));
  if (left <= kWarnDays) return fmt::format("the certificate for {} expires in {} days, on {}; renew it: popcert renew, or the client of its authority", names_of(own), left, tls::format_time(own.not_after()));
  return {};
}

}  // namespace qpop::signer
