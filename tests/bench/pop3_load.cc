// SPDX-License-Identifier: MIT
// A load client for benchmarks: the clock around the part that counts, one line of figures.
//
// Usage: pop3_load PORT USER PASSWORD MODE [--tls] [--ack-now] [--messages N] [--seconds S] [--users N] [--auth pass|apop|scram] [--resume]
//   open           from connecting to the answer of STAT
//   retr           RETR of every message in lockstep, after login (--messages N: the first N)
//   pipelined      RETR of every message, as many commands at once as the server takes
//   top            TOP n 0 of every message, pipelined
//   leave          from connecting: UIDL, RETR of the last 10, QUIT
//   delete-none, delete-last, delete-first, delete-second (every second), delete-all: the answer of QUIT after DELE
//   logins         connects, logs in, quits for S seconds as USER0 to USER(N-1) in turn
//   hold           logs in, prints "ready", waits for the end of standard input (--users N: a session for each of USER0 to USER(N-1))
// Prints: milliseconds messages octets
#include <fmt/format.h>
#include <openssl/evp.h>
#include <poll.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "tests/bench/pop3_connection.h"
#include "tests/bench/scram_client.h"

namespace {

using namespace qpop::bench;
using Clock = std::chrono::steady_clock;

struct Wish {
  Link link;
  std::string user, password, mode;
  unsigned messages = 0;  // 0: all
  unsigned users = 0;
  double seconds = 5;
  std::string auth = "pass";
  bool resume = false;
};

struct Figures {
  double ms = 0;
  std::size_t count = 0;
  std::size_t octets = 0;
};

double since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

unsigned first_number(std::string_view text) {
  const auto at = text.find_first_of("0123456789");
  unsigned number = 0;
  if (at == std::string_view::npos || std::from_chars(text.data() + at, text.data() + text.size(), number).ec != std::errc{}) die("no number in an answer");
  return number;
}

std::string md5(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (::EVP_Digest(text.data(), text.size(), digest.data(), &size, ::EVP_md5(), nullptr) != 1) die("MD5");
  std::string out;
  for (unsigned i = 0; i < size; ++i) out += fmt::format("{:02x}", digest.at(i));
  return out;
}

void log_in(Connection& connection, const std::string& user, const Wish& wish) {
  static ScramClient scram{wish.password};
  const auto greeting = connection.line();
  if (wish.auth == "scram") return scram.log_in(connection, user);
  if (wish.auth != "apop") {
    connection.command("USER " + user);
    connection.command("PASS " + wish.password);
    return;
  }
  const auto begin = greeting.find('<');
  const auto end = greeting.find('>');
  if (begin == std::string::npos || end == std::string::npos) die("no stamp in the greeting");
  connection.command(fmt::format("APOP {} {}", user, md5(greeting.substr(begin, end - begin + 1) + wish.password)));
}

unsigned stat(Connection& connection) { return first_number(connection.command("STAT")); }

/// Commands go out in pieces while answers come in, so that neither side waits for the other's full buffer.
Figures pipelined(Connection& connection, unsigned count, const char* form) {
  constexpr unsigned kWindow = 200;  // commands on their way
  Figures out;
  unsigned asked = 0;
  for (unsigned answered = 0; answered < count; ++answered) {
    if (asked < count && asked - answered < kWindow / 2) {
      std::string commands;
      while (asked < count && asked - answered < kWindow) commands += fmt::format(fmt::runtime(form), ++asked);
      connection.send(commands);
    }
    connection.line();
    out.octets += connection.body();
  }
  out.count = count;
  return out;
}

Figures lockstep(Connection& connection, unsigned count) {
  Figures out;
  for (unsigned number = 1; number <= count; ++number) {
    connection.command(fmt::format("RETR {}", number));
    out.octets += connection.body();
  }
  out.count = count;
  return out;
}

/// What a client does that leaves its mail on the server.
Figures leave(Connection& connection, const Wish& wish) {
  log_in(connection, wish.user, wish);
  const unsigned count = stat(connection);
  connection.command("UIDL");
  Figures out;
  out.octets = connection.body();
  for (unsigned number = count > 10 ? count - 9 : 1; number <= count; ++number) {
    connection.command(fmt::format("RETR {}", number));
    out.octets += connection.body();
  }
  connection.quit();
  out.count = count;
  return out;
}

void mark(Connection& connection, unsigned count, const std::string& which) {
  const auto wanted = [&](unsigned number) {
    if (which == "delete-all") return true;
    if (which == "delete-second") return number % 2 == 0;
    if (which == "delete-first") return number == 1;
    return which == "delete-last" && number == count;
  };
  for (unsigned number = 1; number <= count; ++number) {
    if (wanted(number)) connection.command(fmt::format("DELE {}", number));
  }
}

/// `users` different maildrops, so that no session meets another one's lock.
Figures logins(const Wish& wish) {
  Figures out;
  SslSession session;
  const auto start = Clock::now();
  while (since(start) < wish.seconds * 1000) {
    const auto user = wish.users == 0 ? wish.user : fmt::format("{}{}", wish.user, out.count % wish.users);
    Connection connection{wish.link, wish.resume ? &session : nullptr};
    log_in(connection, user, wish);
    connection.quit();
    ++out.count;
  }
  out.ms = since(start);
  return out;
}

/// One session of each maildrop, all at once.
Figures hold_many(const Wish& wish) {
  Figures out;
  const auto start = Clock::now();
  std::vector<std::unique_ptr<Connection>> connections;
  for (; out.count < wish.users; ++out.count) {
    connections.push_back(std::make_unique<Connection>(wish.link));
    log_in(*connections.back(), fmt::format("{}{}", wish.user, out.count), wish);
  }
  out.ms = since(start);
  fmt::print("ready\n");
  std::fflush(stdout);
  while (std::getchar() != EOF) continue;
  return out;
}

Figures run(const Wish& wish) {
  if (wish.mode == "logins") return logins(wish);
  if (wish.mode == "hold" && wish.users > 0) return hold_many(wish);
  auto start = Clock::now();
  Connection connection{wish.link};
  if (wish.mode == "leave") {
    auto out = leave(connection, wish);
    out.ms = since(start);
    return out;
  }
  log_in(connection, wish.user, wish);
  const unsigned all = stat(connection);
  Figures out{since(start), all, 0};
  const unsigned count = wish.messages == 0 ? all : std::min(all, wish.messages);
  start = Clock::now();
  if (wish.mode == "retr") {
    out = lockstep(connection, count);
  } else if (wish.mode == "pipelined") {
    out = pipelined(connection, count, "RETR {}\r\n");
  } else if (wish.mode == "top") {
    out = pipelined(connection, count, "TOP {} 0\r\n");
  } else if (wish.mode == "hold") {
    fmt::print("ready\n");
    std::fflush(stdout);
    while (std::getchar() != EOF) continue;
  } else if (wish.mode.starts_with("delete-")) {
    mark(connection, count, wish.mode);
    start = Clock::now();
    connection.quit();
    out.ms = since(start);
    return out;
  } else if (wish.mode != "open") {
    die("unknown mode " + wish.mode);
  }
  if (wish.mode != "open" && wish.mode != "hold") out.ms = since(start);
  connection.quit();
  return out;
}

Wish parse(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) die("usage: pop3_load PORT USER PASSWORD MODE [options]");
  Wish wish;
  wish.link.port = static_cast<std::uint16_t>(std::stoul(arguments[0]));
  wish.user = arguments[1];
  wish.password = arguments[2];
  wish.mode = arguments[3];
  for (std::size_t i = 4; i < arguments.size(); ++i) {
    const auto& name = arguments[i];
    const auto value = [&] { return i + 1 < arguments.size() ? arguments[++i] : std::string{"0"}; };
    if (name == "--tls") wish.link.tls = true;
    else if (name == "--ack-now") wish.link.ack_now = true;
    else if (name == "--resume") wish.resume = true;
    else if (name == "--messages") wish.messages = static_cast<unsigned>(std::stoul(value()));
    else if (name == "--users") wish.users = static_cast<unsigned>(std::stoul(value()));
    else if (name == "--seconds") wish.seconds = std::stod(value());
    else if (name == "--auth") wish.auth = value();
    else die("unknown option " + name);
  }
  return wish;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto figures = run(parse({argv + 1, argv + argc}));
    fmt::print("{:.3f} {} {}\n", figures.ms, figures.count, figures.octets);
  } catch (const std::exception& error) {
    die(error.what());
  }
  return 0;
}
