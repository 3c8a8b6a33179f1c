// SPDX-License-Identifier: MIT
// The one table of options: file reader, command line, --help, --print-config, conf/qpopper.config and the option section of
// man/qpopper.config.5 are all made from it.
//
// Source: the options of the original's manual (names, letters, values), design decisions for the new ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qpop::config {

/// Index into kOptions; the order of both is the same (checked at compile time).
enum class Opt : std::uint8_t {
  listen,
  timeout,
  login_timeout,
  write_timeout,
  max_sessions,
  max_sessions_per_address,
  max_unauthenticated,
  spare_sessions,
  failed_login_delay,
  spool_dir,
  state_dir,
  mail_user,
  mail_locks,
  mail_lock_timeout,
  no_atomic_open,
  auth_db,
  auth_backends,
  auth_file,
  nonauth_file,
  clear_text_password,
  block_uid,
  check_shell,
  check_password_expired,
  downcase_user,
  trim_domain,
  tls_support,
  tls_server_cert_file,
  tls_private_key_file,
  tls_more_cert_files,
  tls_client_ca_file,
  tls_version,
  tls_cipher_list,
  tls_user,
  session_user,
  auth_user,
  server_name,
  shy,
  statistics,
  log_facility,
  log_target,
  pid_file,
  config_file,
  server_mode,
  fast_update,
  keep_temp_drop,
  temp_dir,
  temp_name,
  cache_dir,
  cache_name,
  mail_lock_check,
  tls_options,
  tls_workarounds,
  chunky_writes,
  count_
};

enum class Type : std::uint8_t { boolean, integer, seconds, mnemonic, text, list };

/// Who may set it (Qpopper's classes): N everybody, U not the user's own file, I only before a client is connected.
enum class Scope : std::uint8_t { N, U, I };

struct Option {
  Opt id;
  std::string_view name;
  char letter;  ///< Qpopper's flag, 0 for none
  Type type;
  Scope scope;
  std::string_view preset;  ///< default, in the grammar of the file; "" for none
  std::int64_t least;       ///< bounds of integers and seconds
  std::int64_t most;
  std::string_view mnemonics;  ///< values separated by a blank, in the order of the flag's numbers
  std::string_view summary;    ///< one line
  std::string_view manual;     ///< paragraph for the manual page
  bool obsolete;               ///< accepted with a warning; the manual paragraph says what to use instead
};

inline constexpr std::array kOptions{
    Option{Opt::listen, "listen", 0, Type::list, Scope::I, "", 0, 0, "", "address and port to serve, repeatable",
           "Value [address][:port], for example 110, 192.0.2.1:110 or [::1]:110. Each line adds one. Addresses may also be "
           "given as arguments. Without an address all IPv4 and IPv6 addresses are served. With tls: in front, as in tls:995 or "
           "tls:192.0.2.1:995, clients begin with TLS (port 995 when none is given). Not used when the server is started "
           "from inetd or with sockets from systemd; of the latter, those that systemd names tls or pop3s (FileDescriptorName) begin with TLS.",
           false},
    Option{Opt::timeout, "timeout", 'T', Type::seconds, Scope::N, "600", 30, 86400, "", "idle time after which a session is ended",
           "The autologout inactivity timer of RFC 1939. Nothing is deleted when it runs out. RFC 1939 asks for at least ten "
           "minutes; Qpopper's default was 120.",
           false},
    Option{Opt::login_timeout, "login-timeout", 0, Type::seconds, Scope::I, "60", 1, 3600, "",
           "time from connecting to a successful login", "A client that has not logged in by then is disconnected.", false},
    Option{Opt::write_timeout, "write-timeout", 0, Type::seconds, Scope::I, "120", 1, 3600, "",
           "time a client may take to accept any output", "A client that reads nothing for so long is disconnected.", false},
    Option{Opt::max_sessions, "max-sessions", 0, Type::integer, Scope::I, "500", 1, 100000, "", "sessions at the same time",
           "Further clients are told -ERR [SYS/TEMP] and disconnected.", false},
    Option{Opt::max_sessions_per_address, "max-sessions-per-address", 0, Type::integer, Scope::I, "50", 1, 100000, "",
           "sessions at the same time from one address block",
           "A block is one IPv4 address or one IPv6 /48. Loopback counts like any other address.", false},
    Option{Opt::max_unauthenticated, "max-unauthenticated", 0, Type::integer, Scope::I, "200", 1, 100000, "",
           "sessions at the same time that have not logged in",
           "When it is reached, the oldest session that has not logged in is ended to make room.", false},
    Option{Opt::spare_sessions, "spare-sessions", 0, Type::integer, Scope::I, "4", 1, 64, "", "session processes kept waiting",
           "Processes that are started, and have given up all rights, before a client arrives.", false},
    Option{Opt::failed_login_delay, "failed-login-delay", 0, Type::seconds, Scope::I, "2", 0, 25, "",
           "first wait after a wrong password; 0: never wait",
           "Doubled by each further wrong password of the same address block (one IPv4 address, one IPv6 /48), up to 60 seconds, and "
           "halved again every five minutes. It is waited before the next password of that block is looked at, and, up to 16 "
           "seconds, before a refusal is answered; others are not delayed. An attempt whose turn has not come after 60 seconds is answered "
           "-ERR [SYS/TEMP] and not looked at. The same wrong clear password again, as a saved client sends it, raises nothing. "
           "Wrong passwords for one user from many addresses are counted too: the ninth makes further attempts wait, one is forgotten "
           "every minute, and addresses from which the user has logged in before are spared. The waits are kept in the file "
           "penalties of state-dir, which may be deleted at any time.",
           false},
    Option{Opt::spool_dir, "spool-dir", 0, Type::text, Scope::U, "/var/mail", 0, 0, "", "folder of the spools",
           "Each user's maildrop is the file of his name in it, mbox or MMDF.", false},
    Option{Opt::state_dir, "state-dir", 0, Type::text, Scope::I, "/var/lib/popper", 0, 0, "", "folder for index and journal files",
           "Holds one folder for each user (0700, owned by him) with the index, which may be deleted at any time, and during an "
           "update the journal, which may not.",
           false},
    Option{Opt::mail_user, "mail-user", 0, Type::text, Scope::I, "", 0, 0, "", "owner of all maildrops",
           "When set, accounts exist in the database alone and every maildrop belongs to this system user. Without it each "
           "account is a system user. A server that was not started by root always works as if its own user stood here.",
           false},
    Option{Opt::mail_locks, "mail-locks", 0, Type::text, Scope::I, "dotlock fcntl flock lease", 0, 0, "",
           "locks taken on a spool, separated by blanks",
           "Any of dotlock, fcntl, flock and lease, or none. All of them are tried without waiting and released together when one is "
           "busy, so that no order of another program can deadlock with ours. lease is no lock but a wall against programs that "
           "take none: while a spool is changed, their open(2) waits; it is tried and never insisted on. Leave flock and lease "
           "out where the spools lie on NFS.",
           false},
    Option{Opt::mail_lock_timeout, "mail-lock-timeout", 0, Type::seconds, Scope::I, "30", 1, 200, "",
           "time to wait for the locks of a spool", "Waiting longer ends with -ERR [SYS/TEMP]; an update waits four times as long.",
           false},
    Option{Opt::no_atomic_open, "no-atomic-open", 0, Type::boolean, Scope::U, "false", 0, 0, "",
           "make lock files with link(2)",
           "A lock file is made under another name and linked to its own, instead of with O_EXCL, which old NFS servers do not "
           "honour.",
           false},
    Option{Opt::auth_db, "auth-db", 0, Type::text, Scope::I, "/etc/pop.auth", 0, 0, "", "database of accounts",
           "Made by popauth -init; owned by the user pop, mode 0600. The key that opens APOP secrets lies beside it in a file "
           "of the same name with .key at its end.",
           false},
    Option{Opt::auth_backends, "auth-backends", 0, Type::text, Scope::I, "database pam", 0, 0, "",
           "where passwords are checked, separated by blanks",
           "Any of database (auth-db, all mechanisms), pam (service qpopper; clear passwords only) and shadow (the shadow file, for "
           "systems without PAM; clear passwords only). A user who has an account in the database is checked there only, wherever it "
           "stands in the list: his system password would otherwise open a door that popauth -disable or a new POP password had "
           "closed. Who has none is looked for in the others in their order; the next is asked only when the one before does not "
           "know the user. A database that exists and cannot be read ends every login with -ERR [SYS/TEMP], because nobody can tell "
           "then who has an account in it; one that does not exist counts as empty when pam or shadow stands here. pam and shadow "
           "are for system users: they are not asked when mail-user is set or the server was not started by root.",
           false},
    Option{Opt::auth_file, "auth-file", 0, Type::text, Scope::I, "", 0, 0, "", "file of the only users who may log in",
           "One user name a line, compared as it is, no comments. Must belong to root and be writable by nobody else. When it cannot be "
           "read nobody may log in. To the client a user who is not in it looks like a wrong password; the log has the reason.",
           false},
    Option{Opt::nonauth_file, "nonauth-file", 0, Type::text, Scope::I, "", 0, 0, "", "file of users who may not log in",
           "As auth-file, the other way round. When it cannot be read nobody may log in (Qpopper let everybody in).", false},
    Option{Opt::clear_text_password, "clear-text-password", 'p', Type::mnemonic, Scope::U, "default", 0, 0,
           "default never always local tls", "when USER and PASS, AUTH PLAIN and LOGIN are allowed",
           "default: inside TLS, or from loopback. never: not at all. always: everywhere, which gives passwords to anybody on the "
           "way. local: from loopback only, and not for a user who has an APOP secret, who must use it, as in Qpopper; inside TLS he need "
           "not. tls or ssl: inside TLS only, also for a user with an APOP secret (Qpopper refused him). "
           "A user who must use APOP is answered as for a wrong password, after it was sent: asked at USER, as Qpopper did, it would tell "
           "anybody who has an account.",
           false},
    Option{Opt::block_uid, "block-uid", 0, Type::integer, Scope::I, "10", 0, 4294967294, "", "highest uid that may not log in",
           "System users with this uid or a lower one are refused, by any mechanism; uid 0 always is.", false},
    Option{Opt::check_shell, "check-shell", 0, Type::boolean, Scope::I, "false", 0, 0, "", "only users with a login shell",
           "The user's shell must stand in /etc/shells; a line /POPPER/ANY/SHELL/ there admits every shell. In Qpopper a choice of "
           "whoever compiled it (CHECK_SHELL). Not used when mail-user is set.",
           false},
    Option{Opt::check_password_expired, "check-password-expired", 0, Type::boolean, Scope::I, "true", 0, 0, "",
           "back end shadow: honour the age of passwords",
           "A password older than the shadow file's maximum age, or one that must be changed, is refused. PAM decides for itself.", false},
    Option{Opt::downcase_user, "downcase-user", 'c', Type::boolean, Scope::U, "false", 0, 0, "", "user names in lower case",
           "A to Z in the user name become a to z before anything else is done with it.", false},
    Option{Opt::trim_domain, "trim-domain", 'C', Type::boolean, Scope::U, "false", 0, 0, "", "cut user names at the first @",
           "ada@example.org logs in as ada.", false},
    Option{Opt::tls_support, "tls-support", 'l', Type::mnemonic, Scope::I, "default", 0, 0, "none stls alternate-port default",
           "TLS: none, by STLS, or from the first octet",
           "stls: clients may ask for TLS with STLS; listen values that begin with tls: serve others from the first octet. "
           "alternate-port: all clients begin with TLS; for a server of its own on port 995, from inetd for example. In both cases a certificate "
           "that cannot be used keeps the server from starting. none: no TLS. default: as stls when the file of tls-server-cert-file exists or a "
           "listen value begins with tls:, else as none (Qpopper: none). A handshake that fails ends the connection; nothing said before it counts.",
           false},
    Option{Opt::tls_server_cert_file, "tls-server-cert-file", 0, Type::text, Scope::I, "/etc/mail/certs/cert.pem", 0, 0, "",
           "certificate chain of the server, in PEM",
           "The server's own certificate first, then its issuers, without the root; with the private key, unless "
           "tls-private-key-file names a file for that. popcert init makes one, popcert check says what is wrong with it. The file is watched: "
           "a new certificate is used for the next handshake, without a restart; one that cannot be used (expired, of another key, not in order) is "
           "refused with a log line, and the old one stays in use.",
           false},
    Option{Opt::tls_private_key_file, "tls-private-key-file", 0, Type::text, Scope::I, "", 0, 0, "",
           "private key of the server, in PEM",
           "Default: in the file of tls-server-cert-file. Not encrypted, mode 0600 or 0640, owned by root. Read by a process of its own (tls-user); those that "
           "talk to clients never hold it.",
           false},
    Option{Opt::tls_more_cert_files, "tls-more-cert-files", 0, Type::list, Scope::I, "", 0, 0, "", "further certificates, repeatable",
           "One file with private key and chain in each line. A client that asks for a host name (SNI) gets the certificates for it, any other the "
           "first of each kind of key, beginning with tls-server-cert-file; so an RSA certificate can stand beside an ECDSA one.",
           false},
    Option{Opt::tls_client_ca_file, "tls-client-ca-file", 0, Type::text, Scope::I, "", 0, 0, "", "authorities of client certificates, in PEM",
           "When set, clients are asked for a certificate. Who has one of these authorities, and an account in the database of that name, may log in with AUTH "
           "EXTERNAL as the common name of it, with TLS 1.3. popcert's own authorities are for servers alone and cannot stand here. "
           "Who has none, or another one, logs in as without.",
           false},
    Option{Opt::tls_version, "tls-version", 0, Type::mnemonic, Scope::I, "default", 0, 0, "default all sslv23 tlsv1 tlsv1.1 tlsv1.2 tlsv1.3 sslv2 sslv3",
           "versions of TLS",
           "default, all, sslv23: 1.2 and 1.3. tlsv1.2 or tlsv1.3: that one only. tlsv1 and tlsv1.1 count as default, with a warning: RFC 8996 forbids "
           "those versions. sslv2 and sslv3 are refused.",
           false},
    Option{Opt::tls_cipher_list, "tls-cipher-list", 0, Type::text, Scope::I, "", 0, 0, "", "ciphers of TLS 1.2, as in openssl-ciphers(1)",
           "Default: ECDHE with AES-GCM or ChaCha20. Key exchange by RSA is never possible, because no process could decrypt with the key. TLS 1.3 has no "
           "weak ciphers to choose from.",
           false},
    Option{Opt::tls_user, "tls-user", 0, Type::text, Scope::I, "popkey", 0, 0, "", "user of the process that holds the private keys",
           "Must own no file. Used when the server is started by root and offers TLS.", false},
    Option{Opt::session_user, "session-user", 0, Type::text, Scope::I, "popnet", 0, 0, "", "user of the processes that talk to clients",
           "Must own no file. Used when the server is started by root.", false},
    Option{Opt::auth_user, "auth-user", 0, Type::text, Scope::I, "pop", 0, 0, "", "user that owns the database of accounts",
           "Used when the server is started by root.", false},
    Option{Opt::server_name, "server-name", 0, Type::text, Scope::I, "", 0, 0, "", "host name in greeting and sign-off",
           "Default is the host's own name.", false},
    Option{Opt::shy, "shy", 0, Type::boolean, Scope::I, "false", 0, 0, "", "hide name and version before login",
           "The greeting is +OK ready, and CAPA shows IMPLEMENTATION only after login.", false},
    Option{Opt::statistics, "statistics", 's', Type::boolean, Scope::N, "false", 0, 0, "", "one Stats: log line for each session that ends with QUIT",
           "Stats: USER deleted-messages deleted-octets left-messages left-octets CLIENT ADDRESS.", false},
    Option{Opt::log_facility, "log-facility", 'y', Type::mnemonic, Scope::I, "mail", 0, 0,
           "mail local0 local1 local2 local3 local4 local5 local6 local7", "syslog facility", "Qpopper used local0 on many systems.",
           false},
    Option{Opt::log_target, "log-target", 0, Type::mnemonic, Scope::I, "syslog", 0, 0, "syslog stderr", "where log lines go",
           "With stderr each line goes to the standard error of the server, with time and severity; never to a client.", false},
    Option{Opt::pid_file, "pid-file", 0, Type::text, Scope::I, "", 0, 0, "", "file that holds the server's process number",
           "Written by a stand-alone server once it serves, removed when it ends.", false},
    Option{Opt::config_file, "config-file", 'f', Type::text, Scope::N, "", 0, 0, "", "read another configuration file here",
           "Its lines count as if they stood in this place; files may be nested 100 deep.", false},
    Option{Opt::server_mode, "server-mode", 'S', Type::boolean, Scope::N, "false", 0, 0, "", "obsolete: always so",
           "Spools are never copied; every session works on the spool itself.", true},
    Option{Opt::fast_update, "fast-update", 'F', Type::boolean, Scope::N, "false", 0, 0, "", "obsolete: no need",
           "Updates move only what must move, in place and under a journal.", true},
    Option{Opt::keep_temp_drop, "keep-temp-drop", 0, Type::boolean, Scope::U, "false", 0, 0, "", "obsolete: no temporary drop",
           "There is no temporary drop that could be kept.", true},
    Option{Opt::temp_dir, "temp-dir", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir",
           "There is no temporary drop; the journal lies in state-dir.", true},
    Option{Opt::temp_name, "temp-name", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir",
           "There is no temporary drop; the journal lies in state-dir.", true},
    Option{Opt::cache_dir, "cache-dir", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir", "The index lies in state-dir.",
           true},
    Option{Opt::cache_name, "cache-name", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir",
           "The index lies in state-dir.", true},
    Option{Opt::mail_lock_check, "mail-lock-check", 'L', Type::integer, Scope::I, "5000", 0, 1000000, "", "obsolete: no need",
           "Locks are refreshed by time, whatever the number of messages.", true},
    Option{Opt::tls_options, "tls-options", 0, Type::integer, Scope::U, "0", 0, 4294967295, "", "obsolete: see tls-version",
           "The numbers meant options of the OpenSSL of their time and mean others today. What is safe is always set; see tls-version and tls-cipher-list.", true},
    Option{Opt::tls_workarounds, "tls-workarounds", 0, Type::boolean, Scope::U, "false", 0, 0, "", "obsolete: no need",
           "The clients that needed them do not speak TLS 1.2.", true},
    Option{Opt::chunky_writes, "chunky-writes", 0, Type::mnemonic, Scope::N, "default", 0, 0, "default always tls ssl never", "obsolete: always so",
           "Answers are always sent through one buffer, in full TLS records.", true},
};

[[nodiscard]] constexpr const Option& option(Opt id) { return kOptions.at(static_cast<std::size_t>(id)); }

namespace detail {
constexpr bool table_is_sound() {
  if (kOptions.size() != static_cast<std::size_t>(Opt::count_)) return false;
  for (std::size_t i = 0; i < kOptions.size(); ++i) {
    const Option& row = kOptions.at(i);
    if (static_cast<std::size_t>(row.id) != i || row.summary.empty() || row.manual.empty()) return false;
    if (row.type == Type::mnemonic && row.mnemonics.find(row.preset) == std::string_view::npos) return false;
    if (row.type == Type::integer || row.type == Type::seconds) {
      std::int64_t value = 0;
      for (const char digit : row.preset) value = value * 10 + (digit - '0');
      if (value < row.least || value > row.most) return false;
    }
  }
  return true;
}
}  // namespace detail
static_assert(detail::table_is_sound(), "every row in enum order, with summary, manual and a default within its bounds");

}  // namespace qpop::config
