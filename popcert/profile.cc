// SPDX-License-Identifier: MIT
// profile: what sets up a client, in the forms that clients read.
// Source: Thunderbird's autoconfiguration format 1.1, Apple's configuration profiles (com.apple.mail.managed), RFC 6186 (SRV records).
#include <fmt/format.h>

#include <array>
#include <ctime>

#include "common/digest/digest.h"
#include "common/base/text.h"
#include "popcert/pair.h"
#include "popcert/verbs.h"

namespace qpop::popcert {

namespace {

using base::Error;
using base::ErrorKind;

struct Account {
  std::string login;
  std::string address;
  std::string domain;
  std::string host;
};

std::string xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// A name of its own for each account and part, the same each time: a profile that is installed again replaces the old one.
std::string uuid(const Account& account, std::string_view part) {
  const std::array<std::string_view, 4> parts{"qpopper profile ", account.address, account.host, part};
  const auto hash = digest::sha256(parts);
  const auto hex = base::to_hex(digest::view_of(hash));
  return fmt::format("{}-{}-5{}-a{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(13, 3), hex.substr(17, 3), hex.substr(20, 12));
}

std::string autoconfig(const Account& a) {
  return fmt::format(R"(<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="{0}">
    <domain>{0}</domain>
    <displayName>Mail of {0}</displayName>
    <displayShortName>{0}</displayShortName>
    <incomingServer type="pop3">
      <hostname>{1}</hostname>
      <port>995</port>
      <socketType>SSL</socketType>
      <username>%EMAILLOCALPART%</username>
      <authentication>password-cleartext</authentication>
    </incomingServer>
    <incomingServer type="pop3">
      <hostname>{1}</hostname>
      <port>110</port>
      <socketType>STARTTLS</socketType>
      <username>%EMAILLOCALPART%</username>
      <authentication>password-cleartext</authentication>
    </incomingServer>
  </emailProvider>
</clientConfig>
)", xml(a.domain), xml(a.host));
}

std::string payload_of_authority(const Account& a, const tls::Certificate& authority) {
  return fmt::format(R"(    <dict>
      <key>PayloadType</key><string>com.apple.security.root</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>{0}.authority</string>
      <key>PayloadUUID</key><string>{1}</string>
      <key>PayloadDisplayName</key><string>{2}</string>
      <key>PayloadContent</key><data>{3}</data>
    </dict>
)", xml(a.host), uuid(a, "authority"), xml(authority.common_name()), digest::base64_encode(authority.der()));
}

std::string mobileconfig(const Account& a, const tls::Certificate* authority) {
  return fmt::format(R"(<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadIdentifier</key><string>{0}.mail</string>
  <key>PayloadUUID</key><string>{1}</string>
  <key>PayloadDisplayName</key><string>Mail of {2}</string>
  <key>PayloadContent</key>
  <array>
{6}    <dict>
      <key>PayloadType</key><string>com.apple.mail.managed</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>{0}.mail.account</string>
      <key>PayloadUUID</key><string>{3}</string>
      <key>PayloadDisplayName</key><string>{4}</string>
      <key>EmailAccountType</key><string>EmailTypePOP</string>
      <key>EmailAddress</key><string>{4}</string>
      <key>IncomingMailServerAuthentication</key><string>EmailAuthPassword</string>
      <key>IncomingMailServerHostName</key><string>{0}</string>
      <key>IncomingMailServerPortNumber</key><integer>995</integer>
      <key>IncomingMailServerUseSSL</key><true/>
      <key>IncomingMailServerUsername</key><string>{5}</string>
      <key>OutgoingMailServerHostName</key><string>{0}</string>
      <key>OutgoingMailServerPortNumber</key><integer>587</integer>
      <key>OutgoingMailServerUseSSL</key><true/>
      <key>OutgoingMailServerAuthentication</key><string>EmailAuthPassword</string>
      <key>OutgoingMailServerUsername</key><string>{5}</string>
      <key>OutgoingPasswordSameAsIncomingPassword</key><true/>
    </dict>
  </array>
</dict>
</plist>
)", xml(a.host), uuid(a, "profile"), xml(a.domain), uuid(a, "account"), xml(a.address), xml(a.login),
                     authority == nullptr ? "" : payload_of_authority(a, *authority));
}

std::string records(const Account& a) {
  return fmt::format("; RFC 6186: for the zone of {0}\n_pop3s._tcp.{0}. 3600 IN SRV 0 1 995 {1}.\n_pop3._tcp.{0}.  3600 IN SRV 10 1 110 {1}.\n", a.domain, a.host);
}

std::string instructions(const Account& a, const tls::Certificate* own, const tls::Certificate* authority) {
  std::string out = fmt::format("Mail of {}\n\nType of server:  POP3\nServer:          {}\nPort:            995, connection security SSL/TLS\n"
                                "                 or 110 with STARTTLS\nUser name:       {}\nAuthentication:  normal password (inside TLS), or SCRAM-SHA-256, or APOP\n",
                                a.address, a.host, a.login);
  if (authority != nullptr) {
    out += fmt::format("\nThe server's certificate comes from a private authority. Import the file ca.pem once:\n"
                       "  Thunderbird      Settings, Privacy & Security, Manage Certificates, Authorities, Import; trust it for web sites\n"
                       "  Windows          open the file, Install Certificate, Local Machine, Trusted Root Certification Authorities\n"
                       "  macOS, iOS       the file .mobileconfig brings it along; iOS: Settings, General, About, Certificate Trust Settings\n"
                       "  Debian           copy it to /usr/local/share/ca-certificates/NAME.crt, then update-ca-certificates\n"
                       "  fetchmail        sslcertfile FILE;  mpop: tls_trust_file FILE\nIts fingerprint:\n  SHA-256 {}\n", authority->fingerprint());
  } else if (own != nullptr && own->is_self_signed()) {
    out += fmt::format("\nThe server's certificate is its own. The client asks once; accept when it shows this fingerprint:\n  SHA-256 {}\n", own->fingerprint());
  }
  return out;
}

bool is_plain(std::string_view text) { return !text.empty() && base::is_printable_utf8(text) && text.find_first_of("/ \\\"'<>") == std::string_view::npos && text.front() != '.' && text.front() != '-'; }

base::Result<Account> account_of(const Command& command, const tls::Certificate* own) {
  Account out;
  const auto at = command.user.find('@');
  out.login = command.user.substr(0, at);
  if (!command.hosts.empty()) {
    out.host = command.hosts.front();
  } else if (own != nullptr && !own->host_names().empty()) {
    out.host = own->host_names().front();
  } else {
    out.host = own_host_name();
  }
  const auto dot = out.host.find('.');
  out.domain = at != std::string::npos ? command.user.substr(at + 1) : dot == std::string::npos || tls::is_address(out.host) ? out.host : out.host.substr(dot + 1);
  out.address = out.login + "@" + out.domain;
  if (!is_plain(out.login) || !is_plain(out.domain) || !is_plain(out.host)) return Error{ErrorKind::malformed, "no name of an account"}.at("--user", base::escape_untrusted(command.user, 100));
  return out;
}

struct Trust {
  std::vector<tls::Certificate> own;
  std::vector<tls::Certificate> authority;
};

/// What is there of the server's certificate and of the private authority that signed it.
Trust trust_of(const Command& command, const Place& place) {
  Trust out;
  if (auto file = read_file(place.file); file) {
    if (auto bundle = tls::read_bundle(file->octets); bundle && !bundle->certificates.empty()) out.own.push_back(bundle->certificates.front().share());
  }
  const auto path = command.ca_file.empty() ? authority_path(place) : command.ca_file;
  if (auto file = read_file(path); file) {
    auto bundle = tls::read_bundle(file->octets);
    const bool fits = bundle && !bundle->certificates.empty() && (out.own.empty() || out.own.front().is_signed_by(bundle->certificates.front()));
    if (fits) out.authority.push_back(bundle->certificates.front().share());
  }
  return out;
}

base::Status write_all(const Command& command, const Place& place) {
  const auto trust = trust_of(command, place);
  const auto* own = trust.own.empty() ? nullptr : &trust.own.front();
  const auto* authority = trust.authority.empty() ? nullptr : &trust.authority.front();
  const auto account = account_of(command, own);
  if (!account) return account.error();
  const std::string folder = command.folder.empty() ? "." : command.folder;
  if (auto done = make_folders(folder); !done) return done;
  const std::array files{std::pair{std::string{"config-v1.1.xml"}, autoconfig(*account)}, std::pair{account->login + ".mobileconfig", mobileconfig(*account, authority)},
                         std::pair{std::string{"srv-records.txt"}, records(*account)}, std::pair{account->login + ".txt", instructions(*account, own, authority)}};
  for (const auto& [name, text] : files) {
    if (auto done = write_file(fmt::format("{}/{}", folder, name), text, 0644, true); !done) return done;
  }
  if (authority != nullptr) {
    if (auto done = write_file(folder + "/ca.pem", authority->pem(), 0644, true); !done) return done;
  }
  say(fmt::format("{0}/config-v1.1.xml   Thunderbird: serve it as http://autoconfig.{1}/mail/config-v1.1.xml", folder, account->domain));
  say(fmt::format("{}/{}.mobileconfig   Apple: open it on the device", folder, account->login));
  say(fmt::format("{}/srv-records.txt   for the name server (RFC 6186)", folder));
  say(fmt::format("{}/{}.txt   for the user to read", folder, account->login));
  return {};
}

}  // namespace

ExitCode profile(const Command& command) {
  const auto place = place_of(command);
  if (!place) return fail(place.error());
  if (auto done = write_all(command, *place); !done) return fail(done.error());
  return ExitCode::ok;
}

}  // namespace qpop::popcert
