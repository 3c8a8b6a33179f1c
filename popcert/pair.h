// SPDX-License-Identifier: MIT
// The server's key and chain, as they lie in its files.
#pragma once

#include <vector>

#include "common/tls/bundle.h"
#include "common/tls/chain.h"
#include "popcert/place.h"

namespace qpop::popcert {

struct Pair {
  tls::Bundle chain;      ///< the file of the chain, as it is
  tls::Bundle key_file;   ///< empty when the key lies with the chain
  bool own_key_file = false;
  [[nodiscard]] EVP_PKEY* key() const {
    const auto& keys = own_key_file ? key_file.keys : chain.keys;
    return keys.empty() ? nullptr : keys.front().get();
  }
};

/// Errors  those of read_file() and tls::read_bundle().
[[nodiscard]] base::Result<Pair> load_pair(const Place& place);

/// Writes key and chain: in one file, or each into its own, the key first. Modes 0600 for what holds the key, 0644 for a chain alone.
[[nodiscard]] base::Status store_pair(const Place& place, EVP_PKEY& key, const std::vector<tls::Certificate>& chain, bool replace);

/// The pass phrase from the terminal, without showing it; empty without a terminal.
[[nodiscard]] std::string ask_pass_phrase();

}  // namespace qpop::popcert
