// SPDX-License-Identifier: MIT
// SASL messages as a client may send them: pieces stay inside, names can be shown, what was taken apart fits the messages between processes.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/sasl/message.h"
#include "common/sasl/scram.h"
#include "common/sasl/scram_server.h"

namespace {

using namespace qpop::sasl;

void require(bool ok) {
  if (!ok) std::abort();
}

void require_inside(std::string_view whole, std::string_view part) {
  require(part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size()));
}

void check_first(const std::string& text) {
  const auto first = parse_client_first(text);
  if (!first) return;
  for (const auto part : {first->gs2_header, first->nonce, first->bare}) require_inside(text, part);
  require(std::string{first->gs2_header} + std::string{first->bare} == text);
  require(is_name(first->user) && (first->authorization.empty() || is_name(first->authorization)));
  require(first->nonce.size() <= kMaxNonce && first->bare.size() <= kMaxFirstBare);
  const ScramServer server{{"salt", 4096, {}, {}}, first->bare, first->nonce};
  require(server.first().size() <= 300);
}

void check_final(const std::string& text) {
  const auto last = parse_client_final(text);
  if (!last) return;
  require_inside(text, last->nonce);
  require(text.starts_with(last->without_proof) && last->without_proof.size() <= kMaxWithoutProof);
  ScramServer server{{"salt", 4096, {}, {}}, "n=a,r=b", "b"};
  require(!server.finish(last->without_proof, last->nonce, last->proof));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{reinterpret_cast<const char*>(data), size};
  Message message;
  if (message.decode(text)) require(message.view().size() <= text.size() / 4 * 3);
  for (const auto& one : {text, std::string{message.view()}}) {
    check_first(one);
    check_final(one);
    if (const auto plain = parse_plain(one)) {
      require(is_name(plain->user) && plain->password.size() <= kMaxField);
      for (const auto part : {plain->authorization, plain->user, plain->password}) require_inside(one, part);
    }
    if (const auto cram = parse_cram_md5(one)) require(is_name(cram->user));
  }
  return 0;
}
