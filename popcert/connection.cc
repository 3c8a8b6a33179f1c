// SPDX-License-Identifier: MIT
// Connections of popcert check.
#include "popcert/connection.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>

#include "common/base/text.h"
#include "common/tls/openssl_error.h"

namespace qpop::popcert {

namespace {

using base::Error;
using base::ErrorKind;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

base::Result<base::UniqueFd> connect_to(const addrinfo& address) {
  base::UniqueFd fd{::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return Error::from_errno(errno, "socket");
  const timeval limit{.tv_sec = kNetworkTimeoutS, .tv_usec = 0};
  // connect(2) honours the time for sending.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0) return Error::from_errno(errno, "connect");
  return fd;
}

}  // namespace

base::Result<Connection> Connection::open(const ServerAddress& address) {
  const auto where = fmt::format("{} port {}", address.host, address.port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int code = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list); code != 0)
    return Error{ErrorKind::io, ::gai_strerror(code)}.at("connect to", where);
  const std::unique_ptr<addrinfo, FreeAddresses> owner{list};
  base::Result<base::UniqueFd> fd{Error{ErrorKind::io, "no address"}};
  for (const addrinfo* one = list; one != nullptr && !fd; one = one->ai_next) fd = connect_to(*one);
  if (!fd) return fd.error().at("connect to", where);
  return Connection{std::move(*fd)};
}

base::Status Connection::send(std::string_view octets) {
  while (!octets.empty()) {
    const auto done = ::send(fd_.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return Error::from_errno(errno, "send");
    octets.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

base::Result<std::string> Connection::line() {
  // Octet by octet: what comes behind the line belongs to the handshake.
  std::string out;
  while (out.size() < 4096) {
    char octet = 0;
    const auto got = ::recv(fd_.get(), &octet, 1, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "recv");
    if (got == 0) return Error{ErrorKind::io, "the server closed the connection"};
    if (octet == '\n') {
      if (out.ends_with('\r')) out.pop_back();
      return out;
    }
    out += octet;
  }
  return Error{ErrorKind::malformed, "an endless line; is it a POP3 server?"};
}

base::Status Connection::begin_stls(std::string_view behind) {
  auto greeting = line();
  if (!greeting) return greeting.error().at("wait for the greeting");
  if (!greeting->starts_with("+OK")) return Error{ErrorKind::denied, base::escape_untrusted(*greeting, 200)}.at("greeting");
  if (auto sent = send("STLS\r\n" + std::string{behind}); !sent) return sent.error().at("send STLS");
  auto answer = line();
  if (!answer) return answer.error().at("wait for the answer to STLS");
  if (!answer->starts_with("+OK")) return Error{ErrorKind::denied, base::escape_untrusted(*answer, 200)}.at("STLS");
  return {};
}

base::Status Connection::handshake(const Offer& offer, const std::string& host) {
  context_.reset(::SSL_CTX_new(::TLS_client_method()));
  if (!context_) return tls::openssl_error(ErrorKind::io, "begin TLS");
  // The certificate is judged afterwards, by more than yes or no.
  ::SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
  if (offer.least_version != 0) {
    SSL_CTX_set_min_proto_version(context_.get(), offer.least_version);
    SSL_CTX_set_max_proto_version(context_.get(), offer.most_version);
    ::SSL_CTX_set_security_level(context_.get(), 0);
  }
  if (!offer.ciphers.empty()) {
    ::SSL_CTX_set_security_level(context_.get(), 0);
    if (::SSL_CTX_set_cipher_list(context_.get(), offer.ciphers.c_str()) != 1) return tls::openssl_error(ErrorKind::unsupported, "offer old ciphers");
  }
  ssl_.reset(::SSL_new(context_.get()));
  if (!ssl_ || ::SSL_set_fd(ssl_.get(), fd_.get()) != 1) return tls::openssl_error(ErrorKind::io, "begin TLS");
  if (!offer.alpn.empty()) {
    const std::string wire = static_cast<char>(offer.alpn.size()) + offer.alpn;
    ::SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wire.data()), static_cast<unsigned>(wire.size()));
  }
  if (!tls::is_address(host)) ::SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str()));
  if (::SSL_connect(ssl_.get()) != 1) return tls::openssl_error(ErrorKind::io, "TLS handshake");
  return {};
}

bool Connection::says_something(int wait_ms) {
  pollfd wait{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  std::array<char, 256> buffer{};
  // Tickets of TLS 1.3 come unasked for and are no answer: the library swallows them and reports nothing to read.
  for (int round = 0; round < 4 && ::poll(&wait, 1, wait_ms) > 0; ++round) {
    ::SSL_set_mode(ssl_.get(), SSL_MODE_AUTO_RETRY);
    timeval limit{.tv_sec = 0, .tv_usec = 100'000};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const int got = ::SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (got > 0) return true;
    const int why = ::SSL_get_error(ssl_.get(), got);
    if (why != SSL_ERROR_WANT_READ) return false;
  }
  return false;
}

}  // namespace qpop::popcert
