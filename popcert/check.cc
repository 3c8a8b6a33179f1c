// SPDX-License-Identifier: MIT
// check: the files as popper reads them, or a server as a client meets it.
#include <fmt/format.h>
#include <unistd.h>

#include <ctime>

#include "popcert/pair.h"
#include "popcert/report.h"
#include "popcert/server_view.h"
#include "popcert/verbs.h"

namespace qpop::popcert {

namespace {

using base::ErrorKind;
using tls::Level;

void append(tls::Findings& to, tls::Findings from) {
  for (auto& finding : from) to.push_back(std::move(finding));
}

/// Who may read and replace it? `secret`: it holds a private key.
void judge_mode(const std::string& path, bool secret, tls::Findings& out) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return;
  const auto mode = static_cast<unsigned>(status.st_mode & 07777U);
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    out.push_back({"wrong-owner", Level::warning, fmt::format("{} belongs to uid {}", path, status.st_uid), fmt::format("chown root {}", path)});
  }
  if (secret && (mode & 0077U) != 0) {
    out.push_back({"key-readable", Level::critical, fmt::format("{} holds a private key and has mode {:04o}: others on this host can read it", path, mode),
                   fmt::format("chmod 600 {}, and make a new key if strangers have accounts here", path)});
  } else if ((mode & 0022U) != 0) {
    out.push_back({"writable", Level::critical, fmt::format("{} has mode {:04o}: others can replace it", path, mode), fmt::format("chmod go-w {}", path)});
  }
}

void judge_folder(const std::string& folder, tls::Findings& out) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return;
  if ((status.st_mode & 0022U) != 0 && (status.st_mode & S_ISVTX) == 0) {
    out.push_back({"folder-writable", Level::critical, fmt::format("the folder {} has mode {:04o}: others can replace what is in it", folder, static_cast<unsigned>(status.st_mode & 07777U)),
                   fmt::format("chmod go-w {}", folder)});
  }
}

tls::Finding unreadable(const base::Error& error) {
  if (error.kind() == ErrorKind::not_found) return {"missing", Level::critical, error.message(), "popcert init --host NAME makes one; set tls-server-cert-file names another place"};
  return {"unreadable", Level::critical, error.message(), "run it as root, who starts the server"};
}

base::Result<std::vector<tls::Certificate>> authorities(const Command& command, const std::string& beside) {
  std::vector<tls::Certificate> out;
  const bool given = !command.ca_file.empty();
  if (!given && (beside.empty() || !exists(beside))) return out;
  auto file = read_file(given ? command.ca_file : beside);
  if (!file) return file.error();
  auto bundle = tls::read_bundle(file->octets);
  if (!bundle) return bundle.error();
  return std::move(bundle->certificates);
}

/// A command that is named works on the files that were looked at.
void name_the_place(const Command& command, const std::string& file, tls::Findings& findings) {
  std::string options;
  for (const auto& [option, value] : {std::pair{"-f", command.configuration}, {"--file", command.file}, {"--key-file", command.key_file}}) {
    if (!value.empty()) options += fmt::format(" {} {}", option, value);
  }
  std::string hosts;
  for (const auto& host : command.hosts) hosts += fmt::format(" --host {}", host);
  const auto put = [](std::string& text, std::string_view what, const std::string& with) {
    if (const auto at = text.find(what); at != std::string::npos) text.replace(at, what.size(), with);
  };
  for (auto& finding : findings) {
    if (!hosts.empty()) put(finding.remedy, " --host NAME", hosts);
    put(finding.remedy, "install --force FILE ", fmt::format("install --force {} ", file));
    put(finding.remedy, " --force", " --force" + options);
  }
}

base::Result<Report> check_files(const Command& command) {
  const auto place = place_of(command);
  if (!place) return place.error();
  auto known = authorities(command, authority_path(*place));
  if (!known) return known.error();
  Report out;
  out.object = place->key_file.empty() ? place->file : fmt::format("{} and {}", place->file, place->key_file);
  auto pair = load_pair(*place);
  if (!pair) {
    out.findings.push_back(unreadable(pair.error()));
    return out;
  }
  judge_folder(place->folder(), out.findings);
  judge_mode(place->file, !pair->chain.keys.empty() || pair->chain.encrypted_keys != 0, out.findings);
  append(out.findings, tls::judge_form(pair->chain, !pair->own_key_file));
  if (pair->own_key_file) {
    judge_mode(place->key_file, true, out.findings);
    auto form = tls::judge_form(pair->key_file, true);
    std::erase_if(form, [](const tls::Finding& finding) { return finding.id == "no-certificate"; });
    append(out.findings, std::move(form));
  }
  append(out.findings, tls::judge_chain(pair->chain.certificates, pair->key(),
                                        {.hosts = command.hosts, .now = ::time(nullptr), .warn_days = command.warn_days, .authorities = std::move(*known)}));
  name_the_place(command, place->file, out.findings);
  out.certificates = std::move(pair->chain.certificates);
  return out;
}

base::Result<Report> check_server(const Command& command) {
  auto address = parse_address(command.connect, command.stls);
  if (!address) return address.error();
  auto known = authorities(command, "");
  if (!known) return known.error();
  auto view = look_at_server(*address);
  if (!view) return view.error();
  Report out;
  out.object = fmt::format("{} port {}{}", address->host, address->port, address->stls ? " (STLS)" : "");
  out.facts.push_back(fmt::format("{}, {}", view->protocol, view->cipher));
  auto hosts = command.hosts.empty() ? std::vector<std::string>{address->host} : command.hosts;
  out.findings = tls::judge_chain(view->sent, nullptr,
                                  {.hosts = std::move(hosts), .now = ::time(nullptr), .warn_days = command.warn_days, .authorities = std::move(*known)});
  append(out.findings, std::move(view->findings));
  out.certificates = std::move(view->sent);
  return out;
}

}  // namespace

ExitCode check(const Command& command) {
  auto report = command.connect.empty() ? check_files(command) : check_server(command);
  if (!report) return fail(report.error(), command.connect.empty() ? ExitCode::failed : ExitCode::critical);
  const auto code = exit_code_of(report->findings);
  if (code == ExitCode::ok && command.quiet) return code;
  const auto text = command.json ? as_json(*report) : as_table(*report);
  fmt::print("{}", text);
  return code;
}

}  // namespace qpop::popcert
