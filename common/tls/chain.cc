// SPDX-License-Identifier: MIT
// From the server's certificate to its issuer and on.
#include "common/tls/chain.h"

#include <algorithm>

namespace qpop::tls {

namespace {

constexpr std::size_t kMostSteps = 10;

bool contains(const std::vector<Certificate>& list, const Certificate& wanted) { return std::ranges::find(list, wanted) != list.end(); }

}  // namespace

base::Result<Chain> arrange_chain(const std::vector<Certificate>& certificates, const EVP_PKEY& key) {
  const Certificate* own = nullptr;
  for (const auto& candidate : certificates) {
    if (candidate.has_key(key) && (own == nullptr || candidate.not_after() > own->not_after())) own = &candidate;
  }
  if (own == nullptr) return base::Error{base::ErrorKind::not_found, "no certificate belongs to this key"};
  Chain out;
  out.certificates.push_back(own->share());
  while (out.certificates.size() < kMostSteps && !out.certificates.back().is_self_signed()) {
    const auto& last = out.certificates.back();
    const auto issuer = std::ranges::find_if(certificates, [&](const Certificate& candidate) {
      return !contains(out.certificates, candidate) && last.is_signed_by(candidate);
    });
    if (issuer == certificates.end()) break;
    if (issuer->is_self_signed()) {
      out.roots.push_back(issuer->share());
      break;
    }
    out.certificates.push_back(issuer->share());
  }
  for (const auto& candidate : certificates) {
    if (!contains(out.certificates, candidate) && !contains(out.roots, candidate)) out.others.push_back(candidate.share());
  }
  return out;
}

}  // namespace qpop::tls
