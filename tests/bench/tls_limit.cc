// SPDX-License-Identifier: MIT
// What one TLS stream over loopback can carry here: MB/s of a server that writes zeros from memory, in this process and its child.
// Usage: bench_tls_limit CERTIFICATE-FILE MEBIBYTES
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/bench/pop3_connection.h"

namespace {

using namespace qpop::bench;

void serve(int listener, const char* file, std::size_t octets) {
  const std::unique_ptr<SSL_CTX, FreeSsl> context{::SSL_CTX_new(::TLS_server_method())};
  if (::SSL_CTX_use_certificate_chain_file(context.get(), file) != 1 || ::SSL_CTX_use_PrivateKey_file(context.get(), file, SSL_FILETYPE_PEM) != 1) die("certificate");
  const qpop::base::UniqueFd fd{::accept(listener, nullptr, nullptr)};
  const std::unique_ptr<SSL, FreeSsl> ssl{::SSL_new(context.get())};
  ::SSL_set_fd(ssl.get(), fd.get());
  if (::SSL_accept(ssl.get()) != 1) die("accept");
  const std::vector<char> zeros(256UL * 1024);
  for (std::size_t sent = 0; sent < octets; sent += zeros.size()) {
    if (::SSL_write(ssl.get(), zeros.data(), static_cast<int>(zeros.size())) <= 0) die("write");
  }
  ::SSL_shutdown(ssl.get());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) die("usage: bench_tls_limit CERTIFICATE-FILE MEBIBYTES");
  const std::size_t octets = std::stoul(argv[2]) << 20U;
  const qpop::base::UniqueFd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    die("listen");
  const pid_t pid = ::fork();
  if (pid == 0) {
    serve(listener.get(), argv[1], octets);
    ::_exit(0);
  }
  Connection connection{{.port = ntohs(address.sin_port), .tls = true}};
  const auto start = std::chrono::steady_clock::now();
  const auto got = connection.drain();
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ::waitpid(pid, nullptr, 0);
  if (got < octets) die("the stream ended early");
  fmt::print("{:.1f}\n", static_cast<double>(got) / 1e6 / seconds);
  return 0;
}
