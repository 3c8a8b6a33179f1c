// SPDX-License-Identifier: MIT
// A look at the certificate files in a child.
// Runs as: tls-user, without files; the parent only reads the answer.
#include "popper/signer/file_check.h"

#include <unistd.h>

#include <csignal>
#include <ctime>

#include "common/base/text.h"
#include "common/priv/child_call.h"
#include "common/tls/server.h"
#include "popper/signer/file_text.h"
#include "popper/signer/pairs.h"
#include "popper/signer/rights.h"

namespace qpop::signer {

namespace {

using base::Error;
using base::Result;

constexpr unsigned kMostSeconds = 30;
constexpr std::size_t kMostOctets = 2000;

Result<std::string> look_at(const FileToCheck& file) {
  auto first = FileText::read(file.fd);
  if (!first) return first.error();
  if (file.client_authorities) {
    auto authorities = read_authorities((*first)->view());
    return authorities ? Result<std::string>{std::string{}} : authorities.error();
  }
  auto second = file.key_fd >= 0 ? FileText::read(file.key_fd) : std::make_unique<FileText>();
  if (!second) return second.error();
  auto pair = read_pair((*first)->view(), (*second)->view(), file.key_fd >= 0, ::time(nullptr));
  if (!pair) return pair.error();
  return daily_warning(*pair, ::time(nullptr));
}

Result<std::string> look(const FilesToCheck& what) {
  if (auto fine = tls::check_ciphers(what.ciphers); !fine) return fine.error();
  std::string warnings;
  for (const auto& file : what.files) {
    auto looked = look_at(file);
    if (!looked) return looked.error().at("certificate file", file.name);
    if (!looked->empty()) warnings += (warnings.empty() ? "" : "; ") + file.name + ": " + *looked;
  }
  return warnings;
}

}  // namespace

Result<std::string> check_files(const FilesToCheck& what) {
  auto answer = priv::call_in_child(kMostOctets, [&](int out) -> Result<std::string> {
    (void)::signal(SIGALRM, SIG_DFL);
    (void)::alarm(kMostSeconds);
    std::vector<int> keep{out};
    for (const auto& file : what.files) keep.insert(keep.end(), {file.fd, file.key_fd});
    if (auto given_up = give_up_rights(keep, "", what.uid, what.gid); !given_up) return given_up.error();
    return look(what);
  });
  if (!answer) return Error{answer.error().kind(), base::escape_untrusted(answer.error().message(), kMostOctets)};
  return base::escape_untrusted(*answer, kMostOctets);
}

}  // namespace qpop::signer
