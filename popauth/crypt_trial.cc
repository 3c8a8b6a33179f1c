// SPDX-License-Identifier: MIT
// One hash in a child that cannot take long.
#include "popauth/crypt_trial.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "common/authdb/password.h"
#include "common/base/io.h"
#include "common/priv/child_call.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

/// A crypt(3) string that costs more would make each login, and each guess, a load on the server. Processor time: a
/// busy machine refuses nothing that an idle one takes.
constexpr suseconds_t kDearestUs = 500'000;
/// Private memory, for schemes that cost memory; a sanitizer's own would be counted too.
constexpr rlim_t kMostMemory = 512U << 20U;

void limit_self() {
  const rlimit no_core{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &no_core);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit memory{kMostMemory, kMostMemory};
  (void)::setrlimit(RLIMIT_DATA, &memory);
#endif
  sigset_t end;
  ::sigemptyset(&end);
  ::sigaddset(&end, SIGPROF);
  ::signal(SIGPROF, SIG_DFL);
  ::sigprocmask(SIG_UNBLOCK, &end, nullptr);
  const itimerval timer{.it_interval = {0, kDearestUs}, .it_value = {0, kDearestUs}};
  if (::setitimer(ITIMER_PROF, &timer, nullptr) != 0) ::_exit(1);
}

}  // namespace

std::string cost_part(std::string_view crypt) {
  constexpr std::size_t kExtendedDes = 5;  // _CCCC, a count
  constexpr std::size_t kBcrypt = 7;       // $2b$NN$
  constexpr std::size_t kScrypt = 14;      // $7$ N rrrrr ppppp
  if (crypt.starts_with('_')) return std::string{crypt.substr(0, kExtendedDes)};
  if (!crypt.starts_with('$')) return "DES";
  if (crypt.starts_with("$1$")) return "$1$";
  if (crypt.starts_with("$2")) return std::string{crypt.substr(0, kBcrypt)};
  if (crypt.starts_with("$7$")) return std::string{crypt.substr(0, kScrypt)};
  const auto scheme = std::min(crypt.find('$', 1), crypt.size());
  const bool sha = crypt.starts_with("$5$") || crypt.starts_with("$6$");
  if (sha && !crypt.substr(scheme).starts_with("$rounds=")) return std::string{crypt.substr(0, scheme)};
  return std::string{crypt.substr(0, crypt.find('$', std::min(scheme + 1, crypt.size())))};
}

Result<std::string> try_crypt(const std::string& crypt) {
  auto answer = priv::ask_child(authdb::kMaxCryptOctets + 1, [&](int out) {
    limit_self();
    const auto dummy = authdb::make_dummy_crypt(crypt);
    return dummy && base::write_whole(out, *dummy) ? 0 : 1;
  });
  if (!answer) return answer.error();
  if (answer->was_killed()) return Error{ErrorKind::limit, "a crypt(3) string that takes too long to check"};
  if (!answer->ended_with(0) || answer->octets.empty()) {
    return Error{ErrorKind::unsupported,
                 "a crypt(3) scheme that this system does not know, or one that needs too much memory"};
  }
  return std::move(answer->octets);
}

}  // namespace qpop::popauth
