// SPDX-License-Identifier: MIT
// Connections for load.
#include "tests/bench/pop3_connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace qpop::bench {

void die(std::string_view what) {
  fmt::print(stderr, "pop3_load: {}\n", what);
  std::exit(1);
}

namespace {

constexpr std::size_t kBuffer = 1UL << 18U;

SSL_CTX* client_context() {
  static const std::unique_ptr<SSL_CTX, FreeSsl> context = [] {
    std::unique_ptr<SSL_CTX, FreeSsl> made{::SSL_CTX_new(::TLS_client_method())};
    // The certificate is checked by tests; here every server is measured with the same cheap client.
    ::SSL_CTX_set_verify(made.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_mode(made.get(), SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(made.get(), 1);  // one call of the system a record instead of two, so that the server is what is measured
    SSL_CTX_set_session_cache_mode(made.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    ::SSL_CTX_set_options(made.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    return made;
  }();
  return context.get();
}

}  // namespace

Connection::Connection(const Link& link, SslSession* session)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), session_(session), ack_now_(link.ack_now), buffer_(std::make_unique_for_overwrite<char[]>(kBuffer)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(link.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("connect");
  const int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!link.tls) return;
  ssl_.reset(::SSL_new(client_context()));
  ::SSL_set_fd(ssl_.get(), fd_.get());
  if (session_ != nullptr && *session_) ::SSL_set_session(ssl_.get(), session_->get());
  if (::SSL_connect(ssl_.get()) != 1) die("TLS handshake");
}

Connection::~Connection() = default;

std::string Connection::line(bool any) {
  std::string out;
  for (;;) {
    if (const auto end = rest().find('\n'); end != std::string_view::npos) {
      out += rest().substr(0, end + 1);
      begin_ += end + 1;
      if (!any && !out.starts_with("+OK")) die(out);
      return out;
    }
    out += rest();
    fill();
  }
}

std::size_t Connection::body() {
  std::size_t octets = 0;
  std::string tail = "\n";  // a body may be empty
  for (;;) {
    const auto part = rest();
    const std::string seam = tail + std::string{part.substr(0, 4)};
    if (const auto at = seam.find("\n.\r\n"); at != std::string::npos && at + 4 > tail.size()) return finish(octets, at + 4 - tail.size());
    if (const auto at = part.find("\n.\r\n"); at != std::string_view::npos) return finish(octets, at + 4);
    tail += part.substr(part.size() > 3 ? part.size() - 3 : 0);
    if (tail.size() > 3) tail.erase(0, tail.size() - 3);
    octets += part.size();
    begin_ = end_;
    fill();
  }
}

void Connection::send(std::string_view text) {
  if (ssl_) {
    if (::SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) != static_cast<int>(text.size())) die("send");
    return;
  }
  while (!text.empty()) {
    const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) die("send");
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string Connection::command(const std::string& text) {
  send(text + "\r\n");
  return line();
}

std::size_t Connection::finish(std::size_t octets, std::size_t used) {
  begin_ += used;
  return octets + used;
}

std::size_t Connection::drain() {
  std::size_t octets = end_ - begin_;
  while (try_fill()) octets += end_;
  return octets;
}

void Connection::fill() {
  if (!try_fill()) die("connection closed");
}

bool Connection::try_fill() {
  if (ack_now_) {
    const int on = 1;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
  }
  const ssize_t got = ssl_ ? ::SSL_read(ssl_.get(), buffer_.get(), static_cast<int>(kBuffer)) : ::recv(fd_.get(), buffer_.get(), kBuffer, 0);
  begin_ = 0;
  end_ = got > 0 ? static_cast<std::size_t>(got) : 0;
  return got > 0;
}

void Connection::quit() {
  command("QUIT");
  close_politely();
}

void Connection::close_politely() {
  if (!ssl_) return;
  if (session_ != nullptr) session_->reset(::SSL_get1_session(ssl_.get()));
  ::SSL_shutdown(ssl_.get());
}

}  // namespace qpop::bench
