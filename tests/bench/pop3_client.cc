// SPDX-License-Identifier: MIT
// A load client for benchmarks: one connection, the clock around the part that counts, one line of figures.
//
// Usage: pop3_client PORT USER PASSWORD open|retr|hold [--ack-now]
//   open   from connecting to the answer of STAT
//   retr   RETR of every message in lockstep, after login
//   hold   logs in, prints "ready", waits for the end of standard input
// --ack-now acknowledges at once (TCP_QUICKACK before every read); without it the kernel delays as for any ordinary client.
// Prints: milliseconds messages octets
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/unique_fd.h"

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(std::string_view what) {
  fmt::print(stderr, "pop3_client: {}\n", what);
  std::exit(1);
}

class Connection {
 public:
  Connection(std::uint16_t port, bool ack_now) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), ack_now_(ack_now), buffer_(1U << 18U) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("connect");
  }

  std::string line() {
    std::string out;
    for (;;) {
      if (const auto end = rest().find('\n'); end != std::string_view::npos) {
        out += rest().substr(0, end + 1);
        begin_ += end + 1;
        if (!out.starts_with("+OK")) die(out);
        return out;
      }
      out += rest();
      fill();
    }
  }

  /// Octets of a multi-line response behind its first line, the termination octet included.
  std::size_t body() {
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

  void send(const std::string& text) {
    if (::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) die("send");
  }
  std::string command(const std::string& text) {
    send(text + "\r\n");
    return line();
  }

 private:
  [[nodiscard]] std::string_view rest() const { return {buffer_.data() + begin_, end_ - begin_}; }
  std::size_t finish(std::size_t octets, std::size_t used) {
    begin_ += used;
    return octets + used;
  }
  void fill() {
    if (ack_now_) {
      const int on = 1;
      ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (got <= 0) die("connection closed");
    begin_ = 0;
    end_ = static_cast<std::size_t>(got);
  }

  qpop::base::UniqueFd fd_;
  bool ack_now_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

double since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

unsigned login(Connection& connection, const std::string& user, const std::string& password) {
  connection.line();
  connection.command("USER " + user);
  connection.command("PASS " + password);
  unsigned count = 0;
  if (std::sscanf(connection.command("STAT").c_str(), "+OK %u", &count) != 1) die("STAT");  // NOLINT(cert-err34-c): our own server's answer
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments{argv + 1, argv + argc};
  if (arguments.size() < 4) die("usage: pop3_client PORT USER PASSWORD open|retr|hold [--ack-now]");
  const bool ack_now = arguments.size() > 4 && arguments[4] == "--ack-now";
  auto start = Clock::now();
  Connection connection{static_cast<std::uint16_t>(std::strtoul(arguments[0].c_str(), nullptr, 10)), ack_now};
  const unsigned count = login(connection, arguments[1], arguments[2]);
  std::size_t octets = 0;
  double elapsed = since(start);
  if (arguments[3] == "retr") {
    start = Clock::now();
    for (unsigned number = 1; number <= count; ++number) {
      connection.command(fmt::format("RETR {}", number));
      octets += connection.body();
    }
    elapsed = since(start);
  } else if (arguments[3] == "hold") {
    fmt::print("ready\n");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
  }
  connection.command("QUIT");
  fmt::print("{:.3f} {} {}\n", elapsed, count, octets);
  return 0;
}
