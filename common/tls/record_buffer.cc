// SPDX-License-Identifier: MIT
// A BIO into memory, and one send for all that came.
#include "common/tls/record_buffer.h"

#include <sys/socket.h>

#include <cerrno>
#include <exception>

#include "common/tls/handles.h"

namespace qpop::tls {

namespace {

constexpr std::size_t kKept = 192UL * 1024;  // capacity that a connection may keep; what was needed for one great answer is given back

int on_write(BIO* bio, const char* octets, std::size_t size, std::size_t* written) {
  auto* buffer = static_cast<RecordBuffer*>(::BIO_get_data(bio));
  try {
    buffer->append(octets, size);
  } catch (const std::exception&) {
    return 0;
  }
  *written = size;
  return 1;
}

long on_control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int on_create(BIO* bio) {
  ::BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* method() {
  static const BioMethodHandle made = [] {
    BioMethodHandle method{::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "records")};
    if (method) {
      ::BIO_meth_set_write_ex(method.get(), on_write);
      ::BIO_meth_set_ctrl(method.get(), on_control);
      ::BIO_meth_set_create(method.get(), on_create);
    }
    return method;
  }();
  return made.get();
}

}  // namespace

BIO* RecordBuffer::make_bio() {
  BIO* bio = method() == nullptr ? nullptr : ::BIO_new(method());
  if (bio != nullptr) ::BIO_set_data(bio, this);
  return bio;
}

RecordBuffer::Outcome RecordBuffer::send(int socket) {
  while (sent_ < octets_.size()) {
    const ssize_t count = ::send(socket, octets_.data() + sent_, octets_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN ? Outcome::full : Outcome::closed;
    sent_ += static_cast<std::size_t>(count);
  }
  octets_.clear();
  sent_ = 0;
  if (octets_.capacity() > kKept) octets_.shrink_to_fit();
  return Outcome::empty;
}

}  // namespace qpop::tls
