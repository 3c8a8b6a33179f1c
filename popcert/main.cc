// SPDX-License-Identifier: MIT
// popcert: makes, checks and renews the certificates of the POP3 server.
// Runs as: root, or the user whose server it is. Source: popcert(8).
#include <fmt/format.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>

#include "common/tls/issue.h"
#include "popcert/verbs.h"

namespace qpop::popcert {

ExitCode fail(const base::Error& error, ExitCode code) {
  fmt::print(stderr, "popcert: {}\n", error.message());
  return code;
}

void say(std::string_view line) { fmt::print("{}\n", line); }

std::string own_host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  addrinfo hints{};
  hints.ai_flags = AI_CANONNAME;
  addrinfo* list = nullptr;
  if (::getaddrinfo(name.data(), nullptr, &hints, &list) != 0) return name.data();
  const std::unique_ptr<addrinfo, decltype([](addrinfo* one) { ::freeaddrinfo(one); })> owner{list};
  const std::string full = list->ai_canonname == nullptr ? name.data() : list->ai_canonname;
  return tls::is_acceptable_host(full) ? full : name.data();
}

namespace {

ExitCode run(const Command& command) {
  switch (command.verb) {
    case Verb::help:
      fmt::print("{}", usage(Verb::help));
      return ExitCode::ok;
    case Verb::version:
      say("popcert " QPOP_VERSION);
      return ExitCode::ok;
    case Verb::init:
      return init(command);
    case Verb::request:
      return request(command);
    case Verb::install:
      return install(command);
    case Verb::check:
      return check(command);
    case Verb::renew:
      return renew(command);
    case Verb::deploy_hook:
      return deploy_hook(command);
    case Verb::profile:
      break;
  }
  return profile(command);
}

}  // namespace

}  // namespace qpop::popcert

int main(int argc, char** argv) {
  using namespace qpop::popcert;
  try {
    ::signal(SIGPIPE, SIG_IGN);
    ::umask(022);
    const auto command = parse_command_line({argv + 1, argv + argc});
    if (!command) {
      fail(command.error());
      fmt::print(stderr, "popcert --help lists what it can do\n");
      return static_cast<int>(ExitCode::usage);
    }
    const auto code = run(*command);
    if (std::fflush(stdout) != 0) return static_cast<int>(fail(qpop::base::Error::from_errno(errno, "write")));
    return static_cast<int>(code);
  } catch (const std::exception& error) {
    fmt::print(stderr, "popcert: {}\n", error.what());
    return static_cast<int>(ExitCode::failed);
  }
}
