// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): where mail lies, and how it is handled.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kMailRows{
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
    Option{Opt::hash_spool, "hash-spool", 0, Type::integer, Scope::U, "0", 0, 2, "", "folders below spool-dir by the user's name",
           "0: none. 1: one letter, the sum of the first five characters of the name modulo 26. 2: the first and the second character, as in u/s/user. "
           "Spools and left-over temporary drops are looked for there.",
           false},
    Option{Opt::check_hash_dir, "check-hash-dir", 0, Type::boolean, Scope::N, "true", 0, 0, "", "make missing folders of hash-spool",
           "With owner, group and mode of spool-dir.", false},
    Option{Opt::home_dir_mail, "home-dir-mail", 0, Type::text, Scope::U, "", 0, 0, "", "spool is this file in the home folder",
           "For example .mail or Mailbox. A plain file name. Not for accounts that exist in the database alone: they have no home.", false},
    Option{Opt::check_old_spool_loc, "check-old-spool-loc", 0, Type::boolean, Scope::N, "true", 0, 0, "",
           "look for a left-over temporary drop in spool-dir too",
           "With hash-spool or home-dir-mail: mail in a temporary drop directly in spool-dir is taken over as well (see temp-dir).", false},
    Option{Opt::temp_dir, "temp-dir", 0, Type::text, Scope::U, "", 0, 0, "", "folder where left-over temporary drops of Qpopper are looked for",
           "This server makes no temporary drop. Mail that a session of Qpopper left in one (it crashed, or the machine did) is put in front of the mail of "
           "the spool when the user logs in, once, and the file is emptied. As long as a Qpopper holds it, the maildrop is in use. Default: where "
           "the spool lies.",
           false},
    Option{Opt::temp_name, "temp-name", 0, Type::text, Scope::U, ".%s.pop", 0, 0, "", "name of such temporary drops",
           "%s stands for the user's name and must be there once.", false},
    Option{Opt::old_style_uid, "old-style-uid", 0, Type::boolean, Scope::N, "false", 0, 0, "", "unique-ids as in Qpopper 2.x",
           "The same as unique-id-form = md5-hex: 32 hexadecimal digits.", false},
    Option{Opt::unique_id_form, "unique-id-form", 0, Type::mnemonic, Scope::U, "own", 0, 0, "own md5-base80 md5-hex",
           "how unique-ids of new messages are made",
           "own: from a digest of the message that no sender can foresee. The others are for sites whose Qpopper did not write unique-ids into the spool "
           "(update-status-headers = false), so that clients download nothing again: md5-base80 are the 20 characters of Qpopper 3 and 4, md5-hex the 32 digits "
           "of Qpopper 2 (there old-style-uid). X-UIDL: fields that Qpopper wrote are honoured whatever stands here, when a maildrop "
           "is opened for the first time; those that come with mail later are not. Messages keep the unique-id they have.",
           false},
    Option{Opt::update_status_headers, "update-status-headers", 0, Type::boolean, Scope::N, "true", 0, 0, "", "honour and write Status: fields of the spool",
           "A message whose Status: field holds an R was read by a mail program: it counts as retrieved for auto-delete and LAST. A message that a "
           "client retrieved and left gets \"Status: RO\" when QUIT moves it anyway, because one before it was deleted; nothing is moved for that "
           "alone (Qpopper rewrote the spool). Unique-ids do not change by it.",
           false},
    Option{Opt::uw_kludge, "UW-kludge", 0, Type::boolean, Scope::N, "false", 0, 0, "", "hide the message that mailers of Washington University keep first",
           "The first message is not shown, and never deleted, when two of three are true: its subject says DO NOT DELETE, DON'T DELETE THIS MESSAGE or "
           "FOLDER INTERNAL DATA; it has an X-IMAP: field; it is from Mail System Internal Data. UW-kluge is the same.",
           false},
    Option{Opt::auto_delete, "auto-delete", 0, Type::boolean, Scope::U, "false", 0, 0, "", "delete at QUIT what was retrieved",
           "Messages that were retrieved in the session, or are marked as read in the spool (update-status-headers), are deleted at QUIT. No effect "
           "with update-on-abort: a client that was cut off would lose mail.",
           false},
    Option{Opt::update_on_abort, "update-on-abort", 0, Type::boolean, Scope::N, "false", 0, 0, "", "delete marked messages without QUIT too",
           "Against RFC 1939 section 6, which wants nothing deleted when a session ends otherwise. Qpopper's default was true.", false},
    Option{Opt::expire_after, "expire-after", 0, Type::days, Scope::U, "never", 1, 36500, "", "age at which messages are deleted",
           "Messages whose From_ line is older than so many days are deleted when the maildrop is opened, once a day, whether or not they were read; each "
           "time a log line says how many. It is what CAPA announces as EXPIRE. Qpopper's announce-expire only announced, and so it does here.",
           false},
    Option{Opt::expunge, "expunge", 0, Type::mnemonic, Scope::N, "immediate", 0, 0, "immediate deferred", "when deleted messages leave the spool",
           "immediate: QUIT rewrites the spool behind the first deleted message; where that takes its time, because it stands at the front of a large one, "
           "the client is answered before, and the mail locks stay held until it is done. "
           "deferred: QUIT writes down, durably, what is deleted, and leaves the spool as it is; from then on no POP session "
           "sees those messages. The octets leave the spool later, in one rewrite: expunge-share and expunge-after say when. Until then the messages "
           "are still in the spool: mail programs on this host show them, and quotas count them. When another program rewrites the spool in front of or "
           "among them, or popcheck repairs it, the server no longer knows them and shows them again; it never removes a message that nobody deleted. "
           "Where nothing can be written down, on a full disk for example, the spool is rewritten at once. As long as they are in the spool, removing the "
           "file expunged from the user's folder in state-dir brings all of them back; no session may be open. With immediate again, what is "
           "hidden stays so, and leaves at the next login.",
           false},
    Option{Opt::expunge_share, "expunge-share", 0, Type::integer, Scope::N, "25", 1, 100, "", "share of the spool, in percent, that is worth a rewrite",
           "With expunge = deferred: when the deleted messages make up so much of the spool, QUIT or the next login removes them from it.", false},
    Option{Opt::expunge_after, "expunge-after", 0, Type::seconds, Scope::N, "86400", 1, 31536000, "", "time that deleted messages may stay in the spool",
           "With expunge = deferred: when the oldest deletion is older, the next login or QUIT removes all deleted messages from the spool, whatever "
           "their share.",
           false},
};

}  // namespace qpop::config
