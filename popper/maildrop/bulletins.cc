// SPDX-License-Identifier: MIT
// Bulletins.
// Runs as: the owner of the mail.
#include "popper/maildrop/bulletins.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "common/base/io.h"
#include "common/base/text.h"
#include "common/files/io.h"
#include "common/log/log.h"
#include "common/mbox/from_line.h"
#include "common/mbox/header_field.h"

namespace qpop::maildrop {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using config::Opt;

constexpr std::size_t kMostOctets = 1024UL * 1024;      // of one bulletin
constexpr std::size_t kMostOfNumber = 100;              // of a file that holds the number of one
constexpr const char* kTemporaryName = "bulletin.tmp";
constexpr std::size_t kMostAtOnce = 8UL * 1024 * 1024;  // of all that one login delivers

struct Bulletin {
  std::uint64_t number = 0;
  std::string name;
  friend auto operator<=>(const Bulletin&, const Bulletin&) = default;  // NOLINT(modernize-use-nullptr): there is none, a fault of the check
};

Result<std::string> read_small(const std::string& path, std::size_t most, std::optional<uid_t> owner) {
  const base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY)};
  struct stat status {};
  if (!fd.valid()) return Error::from_errno(errno, "open");
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat");
  if (!S_ISREG(status.st_mode)) return Error{ErrorKind::unsafe, "not a regular file"};
  if (owner && status.st_uid != *owner) return Error{ErrorKind::unsafe, fmt::format("belongs to uid {}", status.st_uid)};
  return base::read_whole(fd.get(), most);
}

/// Leading digits of a name or of a file's content.
std::optional<std::uint64_t> leading_number(std::string_view text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = base::parse_decimal(text.substr(0, digits));
  return number && *number <= kMostNumber ? number : std::nullopt;
}

std::vector<Bulletin> list_folder(const std::string& folder) {
  std::vector<Bulletin> found;
  const std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })> dir{::opendir(folder.c_str())};
  if (dir == nullptr) {
    log::warning("Unable to open bulletin directory '{}': {}", base::escape_untrusted(folder), std::strerror(errno));
    return found;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name{entry->d_name};
    if (const auto number = leading_number(name)) found.push_back({*number, std::string{name}});
  }
  std::ranges::sort(found);
  return found;
}

/// The second part of a name, between dots; empty for a name without a dot.
std::string group_of(std::string_view name) {
  const auto first = name.find('.');
  if (first == std::string_view::npos) return {};
  const auto rest = name.substr(first + 1);
  return std::string{rest.substr(0, rest.find('.'))};
}

bool is_for_user(const std::string& name, const Job& job) {
  const auto group = group_of(name);
  if (group.empty()) {
    log::warning("bulletin {}: no group in its name; it is for everybody", base::escape_untrusted(name, 80));
    return true;
  }
  if (base::equal_ignoring_case(group, "ALL")) return true;
  const struct group* entry = ::getgrnam(group.c_str());
  if (entry == nullptr) {
    log::warning("bulletin {}: there is no group {}; it is for nobody", base::escape_untrusted(name, 80), base::escape_untrusted(group, 80));
    return false;
  }
  if (entry->gr_gid == job.gid) return true;
  for (char** member = entry->gr_mem; member != nullptr && *member != nullptr; ++member) {
    if (job.name == *member) return true;
  }
  return false;
}

std::optional<std::string> read_popbull(const config::Settings& settings, const Job& job) {
  const auto& folder = settings.text(Opt::popbull_dir);
  std::vector<std::string> places;
  if (!folder.empty()) places.push_back(folder + "/" + job.name + ".popbull");
  if (!job.home.empty()) places.push_back(job.home + "/.popbull");
  for (const auto& place : places) {
    if (auto text = read_small(place, kMostOfNumber, job.uid)) return std::move(*text);
  }
  return std::nullopt;
}

Result<std::string> read_kept(const Job& job) { return read_small(job.state_folder + "/" + kBulletinName, kMostOfNumber, job.uid); }

/// Beside the old one, then in its place.
base::Status write_number(files::FileSystem& fs, int folder, std::uint64_t number) {
  if (auto removed = files::remove_if_present(fs, folder, kTemporaryName); !removed) return removed;
  auto fd = files::again([&] { return fs.open_at(folder, kTemporaryName, O_WRONLY | O_CREAT | O_EXCL, 0600); });
  if (!fd) return fd.error();
  auto done = files::write_all(fs, fd->get(), fmt::format("{}\n", number), 0);
  if (done) done = files::again([&] { return fs.sync(fd->get()); });
  if (done) done = fs.close(std::move(*fd));
  if (done) done = files::again([&] { return fs.rename_at(folder, kTemporaryName, kBulletinName); });
  if (!done) static_cast<void>(files::remove_if_present(fs, folder, kTemporaryName));
  if (done) done = files::again([&] { return fs.sync_directory(folder); });
  return done;
}

}  // namespace

Result<bool> raise_number(files::FileSystem& fs, int state_folder, const config::Settings& settings, const Job& job, std::uint64_t number) {
  const auto kept = read_kept(job);
  if (!kept && kept.error().kind() != ErrorKind::not_found) return kept.error();
  auto own = kept ? leading_number(*kept) : std::nullopt;
  if (!own) {
    const auto popbull = read_popbull(settings, job);
    if (popbull) own = leading_number(base::trim(*popbull));
  }
  if (own && *own >= number) return false;
  if (auto written = write_number(fs, state_folder, number); !written) return written.error();
  return true;
}

std::uint64_t last_seen(const std::optional<std::string>& popbull, std::uint64_t newest, std::uint64_t max_bulletins) {
  const std::uint64_t for_new_users = newest - std::min(newest, max_bulletins);
  if (!popbull) return for_new_users;
  if (popbull->empty()) return newest;  // a full disk, once: nobody wants all of them again
  return leading_number(base::trim(*popbull)).value_or(for_new_users);
}

Result<std::string> address_bulletin(std::string_view text, std::string_view address) {
  const auto end = text.find('\n');
  if (!mbox::is_from_line(text.substr(0, end)) || end == std::string_view::npos) {
    return Error{ErrorKind::malformed, "does not start with a valid \"From \" separator"};
  }
  std::string out{text.substr(0, end + 1)};
  const auto header = text.substr(end + 1);
  std::size_t seen = 0;
  bool addressed = false;
  mbox::HeaderFields fields{header};
  while (const auto field = fields.next()) {
    seen += field->whole.size();
    const auto is = [&](std::string_view name) { return base::equal_ignoring_case(field->name, name); };
    if (is("Status") || is("X-UIDL")) continue;
    if (!is("To")) {
      out += field->whole;
    } else if (!std::exchange(addressed, true)) {
      out += fmt::format("To: {}\n", address);
    }
  }
  if (!out.ends_with('\n')) out += '\n';
  if (!addressed) out += fmt::format("To: {}\n", address);
  auto body = header.substr(seen);
  if (body.empty()) body = "\n";
  out += body;
  if (!out.ends_with('\n')) out += '\n';
  if (!out.ends_with("\n\n") && !out.ends_with("\n\r\n")) out += '\n';
  return out;
}

Bulletins gather_bulletins(const config::Settings& settings, const Job& job) {
  Bulletins out;
  const auto& folder = settings.text(Opt::bulldir);
  if (folder.empty()) return out;
  const auto all = list_folder(folder);
  if (all.empty()) return out;
  const auto newest = all.back().number;
  const auto kept = read_kept(job);
  if (!kept && kept.error().kind() != ErrorKind::not_found) {
    // Taken for a new user's, he would get again what he has.
    log::warning("maildrop of {}: number of the last bulletin: {}; no bulletins", job.name, kept.error().message());
    return out;
  }
  const auto own = kept ? leading_number(*kept) : std::nullopt;
  const auto seen = own ? *own : last_seen(read_popbull(settings, job), newest, static_cast<std::uint64_t>(settings.number(Opt::max_bulletins)));
  const auto address = fmt::format("{}@{}", job.name, job.server_name);
  for (const auto& bulletin : all) {
    if (bulletin.number <= seen || (settings.boolean(Opt::group_bulletins) && !is_for_user(bulletin.name, job))) continue;
    const auto text = read_small(folder + "/" + bulletin.name, kMostOctets, std::nullopt);
    auto addressed = text ? address_bulletin(*text, address) : Result<std::string>{Error{text.error().kind(), "cannot be read: " + text.error().detail()}};
    if (!addressed || out.messages.size() + addressed->size() > kMostAtOnce) {
      // As in the original: none of them, so that they come in their order once the fault is mended.
      const auto why = addressed ? std::string{"too much at once"} : addressed.error().detail();
      log::warning("Bulletin {} {}; no bulletins for {}", base::escape_untrusted(bulletin.name, 80), why, job.name);
      return {};
    }
    out.messages += *addressed;
  }
  if (!own || *own < newest) out.last = std::max(newest, seen);
  return out;
}

}  // namespace qpop::maildrop
