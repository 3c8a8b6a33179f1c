// SPDX-License-Identifier: MIT
// Option files of users: which may be read, and what each may set.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/config/placement.h"
#include "common/config/reader.h"

namespace {

using namespace qpop::config;

class Folder {
 public:
  Folder() {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp");
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string put(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    auto path = path_ + "/" + name;
    std::ofstream{path} << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/qpop-options.XXXXXX";
};

constexpr uid_t kNobodyElse = 64999;

/// As a file of the user himself; the administrator is somebody else.
OptionFile of_user(const std::string& path) { return {path, ::geteuid(), kNobodyElse, Scope::U}; }
OptionFile of_administrator(const std::string& path) { return {path, kNobodyElse, ::geteuid(), Scope::U}; }

bool mentions(const std::vector<Problem>& problems, std::string_view text) {
  return std::ranges::any_of(problems, [&](const Problem& problem) { return problem.warning && problem.text.find(text) != std::string::npos; });
}

BOOST_AUTO_TEST_CASE(every_class_is_kept_to) {
  const Folder folder;
  const auto path = folder.put("f", "set timeout = 100\nset auto-delete\nset tracefile = /etc/passwd\nset log-login = \"x\"\nset log-facility = local3\n");
  Settings user;
  const auto by_user = read_option_file(of_user(path), user);
  BOOST_TEST(user.number(Opt::timeout) == 100);
  BOOST_TEST(!user.boolean(Opt::auto_delete));
  BOOST_TEST(user.text(Opt::tracefile).empty());
  BOOST_TEST(user.text(Opt::log_login) == option(Opt::log_login).preset);
  BOOST_TEST(by_user.size() == 4U);
  BOOST_TEST(mentions(by_user, "f line 2: auto-delete may not be set in this file"));
  BOOST_TEST(!has_errors(by_user));
  Settings administrator;
  const auto by_administrator = read_option_file(of_administrator(path), administrator);
  BOOST_TEST(administrator.boolean(Opt::auto_delete));
  BOOST_TEST(administrator.text(Opt::tracefile).empty());
  BOOST_TEST(by_administrator.size() == 3U);
}

BOOST_AUTO_TEST_CASE(every_option_of_class_I_is_refused_to_everybody) {
  for (const Option& row : kOptions) {
    const Folder folder;
    const std::string value = row.type == Type::boolean ? "true" : row.preset.empty() ? "5" : std::string{row.preset};
    const auto path = folder.put("f", "set " + std::string{row.name} + " = \"" + (value.find('"') == std::string::npos ? value : "x") + "\"\n");
    Settings settings;
    const bool refused = mentions(read_option_file(of_administrator(path), settings), "may not be set");
    BOOST_TEST(refused == (row.scope == Scope::I), row.name);
    Settings own;
    BOOST_TEST(mentions(read_option_file(of_user(path), own), "may not be set") == (row.scope != Scope::N), row.name);
  }
}

BOOST_AUTO_TEST_CASE(what_is_settled_before_is_skipped_and_said) {
  const Folder folder;
  const auto text = std::string{"set clear-text-password = never\nset downcase-user\nset trim-domain\nset reverse-lookup\nset user-options\nset spool-options\n"
                                "set no-atomic-open\nreset check-hash-dir\n"};
  const auto path = folder.put("f", text + "set timeout = 100\n");
  Settings settings;
  const auto problems = read_option_file(of_administrator(path), settings);
  BOOST_TEST(problems.size() == 8U);
  for (const auto id : {Opt::clear_text_password, Opt::downcase_user, Opt::trim_domain, Opt::reverse_lookup, Opt::user_options, Opt::spool_options,
                        Opt::no_atomic_open, Opt::check_hash_dir}) {
    BOOST_TEST(mentions(problems, std::string{option(id).name} + " has no effect in this file; skipped"), option(id).name);
    BOOST_TEST(settings.list(id).front() == option(id).preset, option(id).name);
    BOOST_TEST(is_settled_before_option_files(option(id)), option(id).name);
  }
  BOOST_TEST(settings.number(Opt::timeout) == 100);
  Settings own;
  BOOST_TEST(mentions(read_option_file(of_user(path), own), "check-hash-dir has no effect in this file; skipped"));
  BOOST_TEST(mentions(read_option_file(of_user(path), own), "downcase-user may not be set in this file; skipped"));
  // The server's own configuration is read before everything.
  Settings server;
  BOOST_TEST(read_text(text, "qpopper.config", server).empty());
  BOOST_TEST(server.boolean(Opt::trim_domain));
}

BOOST_AUTO_TEST_CASE(unsafe_files_are_not_read) {
  const Folder folder;
  Settings settings;
  const auto sound = folder.put("sound", "set timeout = 99\n");
  BOOST_TEST(read_option_file(of_user(folder.path() + "/missing"), settings).empty());
  BOOST_TEST(mentions(read_option_file({sound, kNobodyElse, kNobodyElse, Scope::N}, settings), "belongs to uid"));
  BOOST_TEST(mentions(read_option_file(of_user(folder.put("group", "set timeout = 99\n", 0620)), settings), "others can write it"));
  BOOST_TEST(mentions(read_option_file(of_user(folder.put("world", "set timeout = 99\n", 0602)), settings), "others can write it"));
  std::filesystem::create_symlink(sound, folder.path() + "/link");
  BOOST_TEST(mentions(read_option_file(of_user(folder.path() + "/link"), settings), "symbolic link"));
  ::mkfifo((folder.path() + "/fifo").c_str(), 0600);
  BOOST_TEST(mentions(read_option_file(of_user(folder.path() + "/fifo"), settings), "not a regular file"));
  BOOST_TEST(mentions(read_option_file(of_user(folder.put("long", std::string(70'000, '#'))), settings), "longer than 64 KiB"));
  BOOST_TEST(settings.number(Opt::timeout) == 600);
}

BOOST_AUTO_TEST_CASE(included_files_count_for_themselves) {
  const Folder folder;
  folder.put("inner", "set timeout = 77\n", 0666);
  folder.put("good", "set max-bulletins = 7\n");
  const auto outer = folder.put("outer", "set config-file = inner\nset config-file = good\nset old-style-uid\n");
  Settings settings;
  const auto problems = read_option_file(of_user(outer), settings);
  BOOST_TEST(mentions(problems, "others can write it"));
  BOOST_TEST(settings.number(Opt::timeout) == 600);
  BOOST_TEST(settings.number(Opt::max_bulletins) == 7);
  BOOST_TEST(settings.boolean(Opt::old_style_uid));
}

BOOST_AUTO_TEST_CASE(files_that_include_themselves_twice_end) {
  const Folder folder;
  const auto path = folder.put("f", "set config-file = f\nset config-file = f\n");
  Settings settings;
  BOOST_TEST(mentions(read_option_file(of_user(path), settings), "more than 1000 files"));
}

struct HashCase {
  int method;
  std::string_view user, want;
};

BOOST_AUTO_TEST_CASE(folders_of_hashed_spools) {
  // ada: 97 + 100 + 97 = 294 = 11 * 26 + 8. frederica: the first five, 102 + 114 + 101 + 100 + 101 = 518 = 19 * 26 + 24.
  for (const auto& [method, user, want] : {HashCase{0, "ada", ""}, HashCase{1, "ada", "i"}, HashCase{1, "frederica", "y"}, HashCase{1, "z", "s"},
                                           HashCase{2, "ada", "a/d"}, HashCase{2, "x", "x/x"}}) {
    BOOST_TEST(hash_folder(method, user) == want, user);
  }
}

BOOST_AUTO_TEST_CASE(places_of_spools_and_temporary_drops) {
  Settings settings;
  BOOST_TEST(read_text("set spool-dir = /m\nset hash-spool = 2\n", "f", settings).empty());
  const auto hashed = place(settings, "ada", "/home/ada");
  BOOST_TEST((hashed.spool == PlacedFile{"/m/a/d", "ada"}));
  BOOST_TEST((hashed.temporary_drops == std::vector<PlacedFile>{{"/m/a/d", ".ada.pop"}, {"/m", ".ada.pop"}}));
  BOOST_TEST(read_text("set hash-spool = 0\nset home-dir-mail = Mailbox\nset temp-dir = /t\nset temp-name = '%s.drop'\n", "f", settings).empty());
  const auto at_home = place(settings, "ada", "/home/ada");
  BOOST_TEST((at_home.spool == PlacedFile{"/home/ada", "Mailbox"}));
  BOOST_TEST((at_home.temporary_drops == std::vector<PlacedFile>{{"/t", "ada.drop"}, {"/m", "ada.drop"}}));
  BOOST_TEST((place(settings, "ada", "").spool == PlacedFile{"/m", "ada"}));
  for (const auto* name : {"/m/", "/m//"}) {
    Settings slashed;
    BOOST_TEST(read_text(std::string{"set temp-dir = /t/\nset hash-spool = 2\nset spool-dir = "} + name + "\n", "f", slashed).empty());
    const auto placed = place(slashed, "ada", "");
    BOOST_TEST(placed.root == "/m");
    BOOST_TEST((placed.spool == PlacedFile{"/m/a/d", "ada"}));
    BOOST_TEST((placed.temporary_drops.front() == PlacedFile{"/t/a/d", ".ada.pop"}));
  }
  BOOST_TEST(read_text("reset check-old-spool-loc\n", "f", settings).empty());
  BOOST_TEST(place(settings, "ada", "/home/ada").temporary_drops.size() == 1U);
}

BOOST_AUTO_TEST_CASE(patterns_of_names_are_no_formats) {
  BOOST_TEST(expand_name(".%s.pop", "ada") == ".ada.pop");
  for (const auto* pattern : {"", "x", "%s%s", "%d%s", "%n%s", "a/%s", "%", "%s%", "%%s"}) BOOST_TEST(expand_name(pattern, "ada").empty(), pattern);
}

}  // namespace
