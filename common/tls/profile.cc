// SPDX-License-Identifier: MIT
// Profiles as octets.
#include "common/tls/profile.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/text.h"
#include "common/tls/bundle.h"

namespace qpop::tls {

namespace {

using base::Error;
using base::ErrorKind;

constexpr std::string_view kMagic = "qpop-tls 1\n";

/// How many certificates belong to which part.
struct Counts {
  std::vector<std::pair<std::uint32_t, std::size_t>> identities;  // number of the key, certificates
  std::size_t authorities = 0;
};

base::Status take_line(std::string_view line, Profile& out, Counts& counts) {
  const auto blank = line.find(' ');
  const auto name = line.substr(0, blank);
  const auto value = blank == std::string_view::npos ? std::string_view{} : line.substr(blank + 1);
  const auto first = base::parse_decimal(value.substr(0, value.find(' ')));
  const auto space = value.find(' ');
  const auto second = space == std::string_view::npos ? std::nullopt : base::parse_decimal(value.substr(space + 1));
  if (name == "ciphers") {
    out.ciphers = value;
  } else if (name == "only") {
    out.only_1_3 = value == "1.3";
    out.only_1_2 = value == "1.2";
  } else if (name == "authorities" && first && *first <= 1000) {
    counts.authorities = *first;
  } else if (name == "identity" && first && second && *first <= UINT32_MAX && *second > 0 && *second <= 100 && counts.identities.size() < 100) {
    counts.identities.emplace_back(static_cast<std::uint32_t>(*first), *second);
  } else {
    return Error{ErrorKind::malformed, "a line of a TLS profile"};
  }
  return {};
}

}  // namespace

std::string encode(const Profile& profile) {
  std::string head{kMagic};
  std::string body;
  if (!profile.ciphers.empty()) head += fmt::format("ciphers {}\n", profile.ciphers);
  if (profile.only_1_3) head += "only 1.3\n";
  if (profile.only_1_2) head += "only 1.2\n";
  if (!profile.client_authorities.empty()) head += fmt::format("authorities {}\n", profile.client_authorities.size());
  for (const auto& identity : profile.identities) {
    head += fmt::format("identity {} {}\n", identity.key, identity.chain.size());
    for (const auto& certificate : identity.chain) body += certificate.pem();
  }
  for (const auto& authority : profile.client_authorities) body += authority.pem();
  return head + "\n" + body;
}

base::Result<Profile> decode(std::string_view octets) {
  if (octets.size() > kMostProfileOctets || !octets.starts_with(kMagic)) return Error{ErrorKind::malformed, "no TLS profile"};
  octets.remove_prefix(kMagic.size());
  Profile out;
  Counts counts;
  while (!octets.empty() && octets.front() != '\n') {
    const auto end = octets.find('\n');
    if (end == std::string_view::npos) return Error{ErrorKind::malformed, "a TLS profile without end"};
    if (auto taken = take_line(octets.substr(0, end), out, counts); !taken) return taken.error();
    octets.remove_prefix(end + 1);
  }
  auto bundle = read_bundle(octets);
  if (!bundle) return bundle.error();
  std::size_t wanted = counts.authorities;
  for (const auto& [key, size] : counts.identities) wanted += size;
  if (bundle->certificates.size() != wanted) return Error{ErrorKind::malformed, "a TLS profile with other certificates than it counts"};
  auto next = bundle->certificates.begin();
  for (const auto& [key, size] : counts.identities) {
    Identity identity{key, {}};
    for (std::size_t i = 0; i < size; ++i) identity.chain.push_back(std::move(*next++));
    out.identities.push_back(std::move(identity));
  }
  for (std::size_t i = 0; i < counts.authorities; ++i) out.client_authorities.push_back(std::move(*next++));
  return out;
}

base::Result<Profile> read_profile(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno, "fstat").at("read the TLS profile");
  // Sealed; its size is not taken on trust all the same.
  if (status.st_size <= 0 || static_cast<std::size_t>(status.st_size) > kMostProfileOctets) return Error{ErrorKind::malformed, "size of the TLS profile"};
  std::string octets(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t at = 0;
  while (at < octets.size()) {
    const ssize_t got = ::pread(fd, octets.data() + at, octets.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Error::from_errno(got < 0 ? errno : EIO, "pread").at("read the TLS profile");
    at += static_cast<std::size_t>(got);
  }
  return decode(octets);
}

}  // namespace qpop::tls
