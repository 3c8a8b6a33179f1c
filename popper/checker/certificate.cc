// SPDX-License-Identifier: MIT
// Judges one client's certificate.
//
// Why a process of its own: what it reads is of the client's making, down to the octets of its certificates. It has nothing that could be taken from it,
// and what it says is one name; the database is asked about that name elsewhere.
// Runs as: tls-user in an empty root, without files, for one question.
#include <unistd.h>

#include <array>
#include <csignal>
#include <ctime>

#include "common/priv/confine.h"
#include "common/tls/client_proof.h"
#include "popper/checker/checker.h"

namespace qpop::checker {

namespace {

using base::Error;
using base::ErrorKind;

constexpr int kPartMs = 5000;

base::Status give_up_rights(const CertificateStart& start) {
  // While there is a root: no configuration file of OpenSSL's.
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  const std::array keep{start.authenticator.fd(), start.profile.get()};
  if (auto done = priv::confine({.keep = keep, .empty_root = start.empty_root, .uid = start.uid, .gid = start.gid}); !done) return done;
  priv::Limits limits;
  limits.no_new_files = true;
  limits.cpu_seconds = kMostSeconds;
  return priv::wall_in(limits, {}, priv::Calls::session);
}

base::Result<std::string> receive_proof(const ipc::Channel& authenticator) {
  auto frame = authenticator.receive(kPartMs);
  ipc::VerifyExternal question;
  if (!frame || !frame->read(question) || question.octets > ipc::VerifyExternal::kMostOctets) return Error{ErrorKind::malformed, "no question"};
  std::string proof;
  while (proof.size() < question.octets) {
    frame = authenticator.receive(kPartMs);
    ipc::ProofPart part;
    if (!frame || !frame->read(part) || part.octets.view().empty()) return Error{ErrorKind::malformed, "a part of the proof is missing"};
    proof += part.octets.view();
  }
  return proof;
}

}  // namespace

int run_certificate_checker(CertificateStart start) {
  (void)::signal(SIGALRM, SIG_DFL);
  ::alarm(kMostSeconds + 1);
  if (!give_up_rights(start)) return 3;
  auto proof = receive_proof(start.authenticator);
  if (!proof) return 0;  // the session has gone meanwhile
  auto profile = tls::read_profile(start.profile.get());
  auto name = profile ? tls::verify_client(*proof, *profile, ::time(nullptr)) : base::Result<std::string>{profile.error()};
  ipc::CertificateVerdict verdict;
  verdict.accepted = name && !name->empty() ? 1 : 0;
  if (name) verdict.name.set(*name);
  verdict.reason.set(name ? name->empty() ? "the certificate has no common name" : "" : name.error().message());
  (void)start.authenticator.send(verdict);
  return 0;
}

}  // namespace qpop::checker
