// SPDX-License-Identifier: MIT
// popcheck: says what is wrong with a spool and why, repairs it, proves that nothing was lost, and can undo.
//
// The first process finds the targets and starts one child for each; the child gives up all rights but those of the spool's
// owner before it reads a byte of mail, of a ledger or of a journal.
// Runs as: root, or the caller; the children as the owner of the mail. Source: popcheck(8).
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <optional>

#include "common/config/reader.h"
#include "common/priv/child_call.h"
#include "common/priv/confine.h"
#include "common/priv/drop.h"
#include "popcheck/helper_dotlock.h"
#include "popcheck/jobs.h"
#include "popcheck/ledger.h"
#include "popcheck/page.h"
#include "popcheck/work.h"

namespace qpop::popcheck {

namespace {

constexpr std::size_t kLongestPath = 8192;

base::UniqueFd open_folder(const std::string& path) {
  base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  // A spool folder that can be searched but not listed is enough.
  if (!fd.valid() && errno == EACCES) fd.reset(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return fd;
}

bool changes(Verb verb) { return verb == Verb::repair || verb == Verb::undo || verb == Verb::recover || verb == Verb::locks; }

/// The state folder as popper makes it at a login: its parent 0711, itself the user's, 0700.
void make_popper_folder(const Target& target) {
  const auto parent = target.state.substr(0, target.state.rfind('/'));
  static_cast<void>(::mkdir(parent.c_str(), 0711));
  const bool made = ::mkdir(target.state.c_str(), 0700) == 0;
  // A folder that is not the owner's is not used.
  if (made && ::geteuid() == 0 && ::lchown(target.state.c_str(), target.uid, target.gid) != 0) ::rmdir(target.state.c_str());
}

/// With the rights of the owner: ~/.popcheck and what is in it.
void make_own_folder(const Target& target) {
  static_cast<void>(::mkdir(target.state.substr(0, target.state.rfind('/')).c_str(), 0700));
  static_cast<void>(::mkdir(target.state.c_str(), 0700));
}

/// Belongs to the owner, and nobody else may write there.
bool is_private(int folder, uid_t owner) {
  struct stat status {};
  return ::fstat(folder, &status) == 0 && status.st_uid == owner && (status.st_mode & 022U) == 0;
}

base::UniqueFd open_state(const Target& target) {
  base::UniqueFd fd{::open(target.state.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)};
  if (fd.valid() && !is_private(fd.get(), target.uid)) fd.reset();
  return fd;
}

/// The spool that a ledger names. Who wrote the ledger is to get no further than he does himself: it is read with the rights of its
/// owner, and leads to no spool but his.
base::Result<Target> spool_of(const Command& command, const config::Settings& settings, const Target& ledger) {
  auto path = priv::call_in_child(kLongestPath, [&](int) -> base::Result<std::string> {
    if (auto dropped = priv::drop_to(ledger.uid, ledger.gid); !dropped) return dropped.error();
    files::SystemFileSystem fs;
    auto folder = open_folder(ledger.folder);
    if (!folder.valid()) return base::Error::from_errno(errno, "open").at("folder", ledger.folder);
    auto book = read_ledger(fs, folder.get(), ledger.name);
    if (!book) return book.error();
    return std::move(book->spool);
  });
  if (!path) return path.error();
  if (!path->starts_with('/')) return base::Error{base::ErrorKind::malformed, "the ledger names no spool"};
  auto spool = find_spool_of_ledger(command, settings, *path);
  if (!spool.fault.empty()) return base::Error{base::ErrorKind::denied, spool.fault}.at("spool", spool.label);
  if (spool.uid != ledger.uid) return base::Error{base::ErrorKind::unsafe, fmt::format("the ledger belongs to uid {}, the spool {} to uid {}", ledger.uid, spool.label, spool.uid)};
  return spool;
}

Outcome work_on(Place& place, const NamedLedger* ledger) {
  switch (place.command.verb) {
    case Verb::repair:
    case Verb::dry_run:
      return repair_spool(place);
    case Verb::undo:
      return undo_repair(place, ledger);
    case Verb::recover:
      return recover_spool(place);
    case Verb::locks:
      return test_locks(place);
    case Verb::verify:
      if (ledger == nullptr) return failed(base::Error{base::ErrorKind::malformed, "not a ledger: its name ends in .ledger"});
      return verify_ledger(ledger->folder.get(), ledger->name, place.folder.get(), place.target.name);
    case Verb::check:
    case Verb::explain:
    case Verb::help:
    case Verb::version:
      break;
  }
  return check_spool(place);
}

/// A fault in the readings must not lead to the user's other files.
base::Status stay_inside(const Place& place, const NamedLedger* ledger) {
  std::vector<int> reach{place.folder.get()};
  if (place.state.valid()) reach.push_back(place.state.get());
  if (ledger != nullptr) reach.push_back(ledger->folder.get());
  return priv::wall_in({}, reach, priv::Calls::file_role);
}

/// Journal and session lock go where popper looks for them. A spool that popper does not know has them beside its ledgers.
base::UniqueFd open_state_of(Target& target, const NamedLedger* ledger) {
  base::UniqueFd state;
  if (ledger == nullptr || target.state_of_popper) state = target.state.empty() ? base::UniqueFd{} : open_state(target);
  if (ledger == nullptr || state.valid()) return state;
  target.state = ledger->folder_path;
  return open_state(target);
}

/// In the child: what needs the rights of the beginning, the drop, then the work. `book`: a ledger of this spool, or null.
Outcome run_on(const Command& command, const config::Settings& settings, Target target, const Target* book) {
  const bool root = ::geteuid() == 0;
  std::unique_ptr<files::Dotlock> dotlock;
  std::unique_ptr<files::Dotlock> other;
  base::UniqueFd folder;
  if (root && target.make_state && command.verb == Verb::repair) make_popper_folder(target);
  // Elsewhere the folder may be the user's, who could lead us anywhere: it is opened with his rights, and needs no more.
  if (root && target.in_spool_dir && changes(command.verb)) {
    folder = open_folder(target.folder);
    if (!folder.valid()) return failed(base::Error::from_errno(errno, "open").at("folder", target.folder));
    for (auto* lock : {&dotlock, &other}) {
      auto helper = start_dotlock_helper(folder.get(), target.name, target.uid, lock_creation(settings));
      if (!helper) return failed(helper.error());
      *lock = std::make_unique<HelperDotlock>(std::move(*helper));
      if (command.verb != Verb::locks) break;
    }
  }
  if (auto dropped = priv::drop_to(target.uid, target.gid); !dropped) return failed(dropped.error());
  if (root) {
    if (auto hardened = priv::harden_process(); !hardened) return failed(hardened.error());
  }
  if (!folder.valid()) folder = open_folder(target.folder);
  if (!folder.valid()) return failed(base::Error::from_errno(errno, "open").at("folder", target.folder));
  // Sent when another program waits for our lease; it can wait.
  static_cast<void>(::signal(SIGIO, SIG_IGN));
  static_cast<void>(::signal(SIGPIPE, SIG_IGN));
  if (!root && target.make_state && command.verb == Verb::repair) make_popper_folder(target);
  if (!target.state.empty() && !target.state_of_popper && command.verb == Verb::repair) make_own_folder(target);
  std::optional<NamedLedger> ledger;
  if (book != nullptr) {
    ledger = NamedLedger{open_folder(book->folder), book->folder, book->name};
    if (!ledger->folder.valid()) return failed(base::Error::from_errno(errno, "open").at("folder", book->folder));
    if (changes(command.verb) && !is_private(ledger->folder.get(), target.uid))
      return failed(base::Error{base::ErrorKind::unsafe, "others may change it: it must belong to the owner of the mail, and nobody else may write there"}.at("folder", book->folder));
  }
  const auto* named = ledger ? &*ledger : nullptr;
  auto state = open_state_of(target, named);
  Place place{command, settings, target, std::move(folder), std::move(state), std::move(dotlock), std::move(other), {}, {}};
  for (auto* lock : {&place.dotlock, &place.other_dotlock}) {
    if (*lock == nullptr) *lock = std::make_unique<files::DirectDotlock>(place.fs, place.clock, place.folder.get(), target.name, lock_creation(settings));
  }
  if (root && command.verb != Verb::locks) {
    // Asked for while /proc is within reach; locks are judged by it.
    static_cast<void>(place.fs.boot_name());
    if (auto limited = stay_inside(place, named); !limited) return failed(limited.error());
  }
  return work_on(place, named);
}

Outcome run_child(const Command& command, const config::Settings& settings, const Target& target) {
  const bool of_ledger = target.name.ends_with(kLedgerEnding) && (command.verb == Verb::verify || command.verb == Verb::undo);
  if (!of_ledger) return run_on(command, settings, target, nullptr);
  auto spool = spool_of(command, settings, target);
  if (!spool) return failed(spool.error());
  return run_on(command, settings, std::move(*spool), &target);
}

Said say(const Command& command, const Target& target, const Outcome& outcome) {
  Said said;
  said.code = outcome.code;
  const bool silent = command.quiet && outcome.code == kClean;
  if (command.json) {
    if (!silent) said.output = json_of(target, outcome, false);
  } else {
    said.output = text_of(target, outcome, command.quiet);
  }
  if (!command.report.empty()) said.page = json_of(target, outcome, true);
  return said;
}

/// The worst of all: a spool that failed, then one with findings that are left, then one that was repaired.
int worse(int a, int b) {
  const auto rank = [](int code) { return code == kFailed ? 3 : code == kFindings ? 2 : code == kRepaired ? 1 : 0; };
  return rank(b) > rank(a) ? b : a;
}

class Printer {
 public:
  Printer(const Command& command, std::size_t total) : command_(command), total_(total), terminal_(total > 1 && !command.quiet && !command.json && ::isatty(STDERR_FILENO) == 1) {
    if (command_.json) fmt::print("[");
  }
  void take(Said said) {
    code_ = worse(code_, said.code);
    ++done_;
    if (said.code != kClean) ++bad_;
    if (terminal_) fmt::print(stderr, "\r\x1b[K");
    if (!said.output.empty()) {
      if (command_.json && any_) fmt::print(",\n ");
      fmt::print("{}", said.output);
      any_ = true;
    }
    if (!said.page.empty()) pages_.push_back(std::move(said.page));
    static_cast<void>(std::fflush(stdout));
    if (terminal_ && done_ < total_) fmt::print(stderr, "{} of {} spools, {} with findings", done_, total_, bad_);
  }
  int finish() {
    if (command_.json) fmt::print("]\n");
    if (std::fflush(stdout) != 0) return kFailed;
    if (command_.report.empty()) return code_;
    auto written = write_page(command_.report, make_page(pages_, fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::time(nullptr)))));
    if (written) return code_;
    fmt::print(stderr, "popcheck: {}\n", written.error().message());
    return kFailed;
  }

 private:
  const Command& command_;
  std::size_t total_;
  bool terminal_;
  std::size_t done_ = 0;
  std::size_t bad_ = 0;
  bool any_ = false;
  int code_ = kClean;
  std::vector<std::string> pages_;
};

int complain(std::string_view text, int code) {
  fmt::print(stderr, "popcheck: {}\n", text);
  return code;
}

/// Root reads no mail: standard input is read by nobody's rights.
Outcome run_stdin(const Command& command) {
  if (::geteuid() == 0) {
    auto nobody = priv::find_account("nobody");
    const uid_t uid = nobody ? nobody->uid : 65534;
    if (auto dropped = priv::drop_to(uid, nobody ? nobody->gid : 65534); !dropped) return failed(dropped.error());
  }
  return check_stdin(command);
}

int run(const Command& command) {
  switch (command.verb) {
    case Verb::help:
      fmt::print("{}", usage());
      return kClean;
    case Verb::version:
      fmt::print("popcheck " QPOP_VERSION "\n");
      return kClean;
    case Verb::explain: {
      const auto text = explain(command.finding);
      if (text.empty()) return complain("no such finding; --explain all names them", kUsage);
      fmt::print("{}", text);
      return kClean;
    }
    case Verb::check:
    case Verb::repair:
    case Verb::dry_run:
    case Verb::undo:
    case Verb::verify:
    case Verb::locks:
    case Verb::recover:
      break;
  }
  auto settings = read_settings(command);
  if (!settings) return complain(settings.error().message(), kUsage);
  std::vector<Target> targets;
  if (command.from_stdin) {
    targets.resize(1);
    targets.front().label = "standard input";
  } else {
    auto found = find_targets(command, *settings);
    if (!found) return complain(found.error().message(), kFailed);
    targets = std::move(*found);
  }
  Printer printer{command, targets.size()};
  const auto processors = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  const unsigned at_once = command.ask ? 1 : command.jobs > 0 ? command.jobs : processors;
  run_all(
      targets, at_once,
      [&](const Target& target) {
        try {
          if (command.from_stdin) return say(command, target, run_stdin(command));
          if (!target.fault.empty()) return say(command, target, failed(base::Error{base::ErrorKind::denied, target.fault}));
          return say(command, target, run_child(command, *settings, target));
        } catch (const std::exception& error) {
          return Said{.output = target.label + ": " + error.what() + "\n", .page = {}, .code = kFailed};
        }
      },
      [&](std::size_t number, Said said) {
        if (said.output.empty() && said.code == kFailed) said.output = command.json ? "" : targets[number].label + ": its process ended without an answer\n";
        printer.take(std::move(said));
      });
  return printer.finish();
}

}  // namespace

}  // namespace qpop::popcheck

int main(int argc, char** argv) {
  using namespace qpop::popcheck;
  try {
    auto command = parse_command_line({argv + std::min(argc, 1), argv + argc});
    if (command) return run(*command);
    return complain(fmt::format("{}; popcheck --help lists the options", command.error().detail()), kUsage);
  } catch (const std::exception& error) {
    fmt::print(stderr, "popcheck: {}\n", error.what());
    return kFailed;
  }
}
