// SPDX-License-Identifier: MIT
// The octets of a certificate or key file, wiped when they go.
// Runs as: tls-user, without files.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/tls/bundle.h"

namespace qpop::signer {

class FileText {
 public:
  /// From the start of the file, wherever the descriptor stands. Errors  malformed: longer than tls::kMostBundleOctets; io.
  [[nodiscard]] static base::Result<std::unique_ptr<FileText>> read(int fd) {
    auto out = std::make_unique<FileText>();
    // One octet more than may be, so that a file that is too long is noticed; no growing, which would leave copies behind.
    out->text_.resize(tls::kMostBundleOctets + 1);
    while (out->size_ < out->text_.size()) {
      const ssize_t got = ::pread(fd, out->text_.data() + out->size_, out->text_.size() - out->size_, static_cast<off_t>(out->size_));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return base::Error::from_errno(errno, "read");
      if (got == 0) return out;
      out->size_ += static_cast<std::size_t>(got);
    }
    return base::Error{base::ErrorKind::malformed, "longer than any certificate file"};
  }
  FileText() = default;
  FileText(const FileText&) = delete;
  FileText& operator=(const FileText&) = delete;
  ~FileText() { base::wipe(text_.data(), size_); }
  [[nodiscard]] std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::string text_;
  std::size_t size_ = 0;
};

}  // namespace qpop::signer
