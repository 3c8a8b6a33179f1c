// SPDX-License-Identifier: MIT
// Records of TLS on their way out: the library writes into memory, and all that stands there leaves in one send, so that a client wakes up
// once for an answer of several records and not for each.
#pragma once

#include <openssl/bio.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/result.h"

namespace qpop::tls {

class RecordBuffer {
 public:
  enum class Outcome : std::uint8_t { empty, full, closed };

  RecordBuffer() = default;
  RecordBuffer(const RecordBuffer&) = delete;
  RecordBuffer& operator=(const RecordBuffer&) = delete;
  RecordBuffer(RecordBuffer&&) = delete;
  RecordBuffer& operator=(RecordBuffer&&) = delete;
  ~RecordBuffer() = default;

  /// A BIO that writes here; the caller's, and it must not outlive this. Null when there is no memory.
  [[nodiscard]] BIO* make_bio();
  /// Sends what stands here to a socket without waiting. full: the socket takes no more now; closed: nor ever.
  [[nodiscard]] Outcome send(int socket);
  [[nodiscard]] std::size_t waiting() const { return octets_.size() - sent_; }
  void append(const char* octets, std::size_t size) { octets_.insert(octets_.end(), octets, octets + size); }

 private:
  std::vector<char> octets_;
  std::size_t sent_ = 0;
};

}  // namespace qpop::tls
