// SPDX-License-Identifier: MIT
// What a row of the option table holds; the rows themselves stand in rows_*.h, by topic, and are joined in options.h.
#pragma once

#include <cstdint>
#include <string_view>

namespace qpop::config {

/// Index into kOptions: topic by topic, in the order of the rows (checked at compile time).
enum class Opt : std::uint8_t {
  // rows_server.h
  listen,
  timeout,
  login_timeout,
  write_timeout,
  max_sessions,
  max_sessions_per_address,
  max_unauthenticated,
  spare_sessions,
  session_user,
  auth_user,
  server_name,
  pid_file,
  config_file,
  user_options,
  spool_options,
  login_command,
  reverse_lookup,
  // rows_accounts.h
  auth_db,
  auth_backends,
  sasl_mechanisms,
  auth_file,
  nonauth_file,
  clear_text_password,
  failed_login_delay,
  block_uid,
  check_shell,
  check_password_expired,
  downcase_user,
  trim_domain,
  // rows_tls.h
  tls_support,
  tls_server_cert_file,
  tls_private_key_file,
  tls_more_cert_files,
  tls_client_ca_file,
  tls_version,
  tls_cipher_list,
  channel_binding,
  tls_user,
  // rows_mail.h
  spool_dir,
  state_dir,
  mail_user,
  mail_locks,
  mail_lock_timeout,
  no_atomic_open,
  hash_spool,
  check_hash_dir,
  home_dir_mail,
  check_old_spool_loc,
  temp_dir,
  temp_name,
  old_style_uid,
  unique_id_form,
  update_status_headers,
  uw_kludge,
  auto_delete,
  update_on_abort,
  expire_after,
  expunge,
  expunge_share,
  expunge_after,
  // rows_bulletins.h
  bulldir,
  max_bulletins,
  group_bulletins,
  popbull_dir,
  // rows_protocol.h
  shy,
  announce_expire,
  announce_login_delay,
  mail_command,
  // rows_log.h
  statistics,
  log_facility,
  log_target,
  timing,
  log_login,
  debug,
  tracefile,
  metrics_listen,
  // rows_obsolete.h
  server_mode,
  fast_update,
  keep_temp_drop,
  cache_dir,
  cache_name,
  mail_lock_check,
  group_server_mode,
  group_no_server_mode,
  chunky_writes,
  bulldb_nonfatal,
  bulldb_max_tries,
  drac_host,
  kerberos,
  kerberos_service,
  tls_options,
  tls_workarounds,
  tls_identity_file,
  tls_passphrase,
  count_
};

/// days: a number of days, or never (-1).
enum class Type : std::uint8_t { boolean, integer, seconds, days, mnemonic, text, list };

/// Who may set it (Qpopper's classes): N everybody, U not the user's own file, I only before a client is connected. Some of N and U are
/// settled too early for the files of users all the same (options.h).
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

}  // namespace qpop::config
