// SPDX-License-Identifier: MIT
// Children with a pipe each: a frame for output, one for the page, the exit code of the process.
// Runs as: root, or the caller. It hands on the bytes of its children and reads nothing in them.
#include "popcheck/jobs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>

#include "common/base/io.h"
#include "common/base/unique_fd.h"

namespace qpop::popcheck {

namespace {

/// A child that says more than that is at fault.
constexpr std::size_t kMostSaid = 512UL * 1024 * 1024;
constexpr int kSilenceMs = 3'600'000;  // nothing from any of them: longer than the largest spool takes

struct Child {
  pid_t pid = -1;
  base::UniqueFd pipe;
  std::string bytes;
};

Child start(const Target& target, const Work& work) {
  std::array<int, 2> pipe{};
  Child child;
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return child;
  child.pipe.reset(pipe[0]);
  const base::UniqueFd end{pipe[1]};
  child.pid = ::fork();
  if (child.pid != 0) return child;
  child.pipe.reset();
  const auto said = work(target);
  const std::uint64_t size = said.output.size();
  // What arrives in part is no answer.
  const bool sent = base::write_whole(end.get(), {reinterpret_cast<const char*>(&size), sizeof size}) && base::write_whole(end.get(), said.output) &&
                    base::write_whole(end.get(), said.page);
  ::_exit(sent ? said.code : kFailed);
}

Said finish(Child& child) {
  Said said;
  // One with too much to say waits for us.
  child.pipe.reset();
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::uint64_t size = 0;
  if (child.bytes.size() >= sizeof size) std::memcpy(&size, child.bytes.data(), sizeof size);
  const bool whole = WIFEXITED(status) && child.bytes.size() >= sizeof size && size <= child.bytes.size() - sizeof size;
  if (!whole) return said;
  said.code = WEXITSTATUS(status);
  said.output = child.bytes.substr(sizeof size, size);
  said.page = child.bytes.substr(sizeof size + size);
  return said;
}

/// true: the child has said everything.
bool listen_to(Child& child) {
  std::array<char, 65536> buffer{};
  const auto got = ::read(child.pipe.get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return false;
  if (got <= 0 || child.bytes.size() > kMostSaid) return true;
  child.bytes.append(buffer.data(), static_cast<std::size_t>(got));
  return false;
}

}  // namespace

void run_all(const std::vector<Target>& targets, unsigned at_once, const Work& work, const std::function<void(std::size_t, Said)>& take) {
  std::map<std::size_t, Child> running;
  std::map<std::size_t, Said> done;
  std::size_t next = 0;
  std::size_t told = 0;
  const auto tell = [&] {
    for (auto first = done.find(told); first != done.end(); first = done.find(++told)) {
      take(told, std::move(first->second));
      done.erase(first);
    }
  };
  while (next < targets.size() || !running.empty()) {
    while (next < targets.size() && running.size() < at_once) {
      auto child = start(targets[next], work);
      if (child.pid > 0) {
        running[next] = std::move(child);
      } else {
        done[next] = {.output = targets[next].label + ": no process could be started\n", .page = {}, .code = kFailed};
      }
      ++next;
    }
    std::vector<pollfd> waiting;
    std::vector<std::size_t> numbers;
    for (auto& [number, child] : running) {
      waiting.push_back({child.pipe.get(), POLLIN, 0});
      numbers.push_back(number);
    }
    const int ready = waiting.empty() ? 1 : ::poll(waiting.data(), waiting.size(), kSilenceMs);
    if (ready < 0 && errno != EINTR) return;
    // The owner of a spool can stop his own child; the others are not to wait for ever.
    for (auto& [number, child] : running) {
      if (ready == 0) ::kill(child.pid, SIGKILL);
    }
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      auto& child = running[numbers[i]];
      if (waiting[i].revents == 0 || !listen_to(child)) continue;
      done[numbers[i]] = finish(child);
      running.erase(numbers[i]);
    }
    tell();
  }
  tell();
}

}  // namespace qpop::popcheck
