// SPDX-License-Identifier: MIT
// What a connection holds; between server.cc, which makes it, and connection.cc.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "common/tls/client_proof.h"
#include "common/tls/record_buffer.h"
#include "common/tls/server.h"

namespace qpop::tls {

struct Connection::State {
  int socket = -1;
  RecordBuffer records;  ///< before the connection that writes to it
  std::unique_ptr<SSL, Deleter<SSL_free>> ssl;
  HandshakeRecorder recorder;  ///< used where clients are asked for certificates
  std::string failure;
  bool broken = false;  ///< no further call of the library, not even to say goodbye
};

}  // namespace qpop::tls
