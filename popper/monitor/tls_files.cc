// SPDX-License-Identifier: MIT
// Certificate files.
// Runs as: root, or the user who started the server.
#include "popper/monitor/tls_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <set>

#include "popper/monitor/startup.h"

namespace qpop::monitor {

using base::Error;
using base::ErrorKind;
using config::Opt;

std::vector<TlsFile> tls_files(const config::Settings& settings) {
  std::vector<TlsFile> files;
  files.push_back({settings.text(Opt::tls_server_cert_file), settings.text(Opt::tls_private_key_file), false, named(settings, Opt::tls_server_cert_file)});
  if (files.front().key_path == files.front().path) files.front().key_path.clear();
  const auto& more = settings.list(Opt::tls_more_cert_files);
  for (std::size_t i = 0; i < more.size(); ++i) files.push_back({more[i], "", false, named(settings, Opt::tls_more_cert_files, i)});
  if (const auto& path = settings.text(Opt::tls_client_ca_file); !path.empty()) files.push_back({path, "", true, named(settings, Opt::tls_client_ca_file)});
  return files;
}

base::Result<base::UniqueFd> open_tls_file(const std::string& path, bool holds_key) {
  base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!fd.valid()) return Error::from_errno(errno, "open").at("certificate file", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat").at("certificate file", path);
  const auto unsafe = [&](std::string text) { return Error{ErrorKind::unsafe, std::move(text)}.at("certificate file", path); };
  if (!S_ISREG(status.st_mode)) return unsafe("not a regular file");
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) return unsafe(fmt::format("belongs to uid {}, who could put another key in; chown it to root", status.st_uid));
  if ((status.st_mode & 022U) != 0) return unsafe(fmt::format("can be written by others (mode {:04o}); chmod go-w it", status.st_mode & 07777U));
  if (holds_key && (status.st_mode & 007U) != 0) return unsafe(fmt::format("everybody can read it (mode {:04o}), and it is to hold a private key: if it does, chmod 600 it, and make a new key if it has been so for long; if not, "
                                                                                          "name another file", status.st_mode & 07777U));
  return fd;
}

void FileWatch::watch(std::vector<std::string> paths) {
  paths_ = std::move(paths);
  seen_.clear();
  for (const auto& path : paths_) seen_.push_back(look(path));
  watch_folders();
}

/// The folder of each name on the way: of the file itself and of what it leads to as a symbolic link.
void FileWatch::watch_folders() {
  constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM;
  std::set<std::string> folders;
  for (const auto& path : paths_) {
    folders.insert(path.substr(0, path.rfind('/') + 1));
    std::array<char, PATH_MAX> real{};
    if (::realpath(path.c_str(), real.data()) == nullptr) continue;
    const std::string_view target{real.data()};
    folders.emplace(target.substr(0, target.rfind('/') + 1));
  }
  // A new one in place of the old: a link may lead elsewhere now.
  if (!inotify_.valid()) inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  for (const auto& folder : folders) {
    if (inotify_.valid()) (void)::inotify_add_watch(inotify_.get(), folder.c_str(), kEvents);
  }
}

void FileWatch::drain() {
  std::array<char, 4096> events{};
  while (inotify_.valid() && ::read(inotify_.get(), events.data(), events.size()) > 0) continue;
}

FileWatch::Seen FileWatch::look(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  const auto ns = [](const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  return {status.st_dev, status.st_ino, status.st_size, ns(status.st_ctim), ns(status.st_mtim)};
}

bool FileWatch::has_changed() {
  bool changed = false;
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    const auto now = look(paths_[i]);
    changed = changed || !(now == seen_[i]);
    seen_[i] = now;
  }
  if (changed) watch_folders();
  return changed;
}

}  // namespace qpop::monitor
