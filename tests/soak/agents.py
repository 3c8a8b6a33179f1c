# SPDX-License-Identifier: MIT
"""Real delivery agents, each as a command that takes one message on standard input, and the locks they take."""
import os
import shutil

SENDER = "soak@example.org"
DOVECOT_LDA = "/usr/lib/dovecot/dovecot-lda"
KINDS = ("dotlock", "fcntl", "flock")
ALL_LOCKS = [" ".join(kind for i, kind in enumerate(KINDS) if number >> i & 1) for number in range(1, 8)]


def write(path, text, mode=0o600):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


class Agent:
    """`locks`: what it takes by default; `configurable`: it takes what it is told."""
    name, locks, configurable = "", "dotlock fcntl", False

    def found(self):
        return shutil.which(self.name, path="/usr/bin:/bin:/usr/sbin:/sbin")

    def prepare(self, folder, box, locks):
        """Writes configuration into `folder`; returns the command."""
        raise NotImplementedError


class Procmail(Agent):
    name = "procmail"

    def prepare(self, folder, box, locks):
        rc = os.path.join(folder, "procmailrc")
        write(rc, "")
        return [self.found(), "-f", SENDER, "-m", f"DEFAULT={box}", "LOCKEXT=.lock", "LOCKSLEEP=1", rc]


class Maildrop(Agent):
    name = "maildrop"

    def prepare(self, folder, box, locks):
        rules = os.path.join(folder, "filter")
        write(rules, f'LOCKSLEEP=1\nto "{box}"\n')
        return [self.found(), "-f", SENDER, rules]


class Exim(Agent):
    name, configurable = "exim4", True

    def prepare(self, folder, box, locks):
        config = os.path.join(folder, "exim.conf")
        for name in ("exim", "exim/log"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        write(config, f"""
spool_directory = {folder}/exim
log_file_path = {folder}/exim/log/%slog
log_selector = -all
exim_user = {os.stat(folder).st_uid}
exim_group = {os.stat(folder).st_gid}
never_users =
deliver_drop_privilege = true
primary_hostname = soak.example.org
qualify_domain = soak.example.org
untrusted_set_sender = *
local_from_check = false
message_logs = false
keep_environment =
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  file = {box}
  check_owner = false
  use_lockfile = {str("dotlock" in locks).lower()}
  use_fcntl_lock = {str("fcntl" in locks).lower()}
  use_flock_lock = {str("flock" in locks).lower()}
  lock_interval = 1s
  lock_retries = 100
  lockfile_timeout = 30m
""", 0o644)
        # Foreground delivery: exit code and spool say whether it was accepted; a message that could not be delivered stays in its queue.
        return [self.found(), "-C", config, "-odf", "-oem", "-oi", "-f", SENDER, "ada@soak.example.org"]


class Dovecot(Agent):
    name, configurable = "dovecot", True

    def found(self):
        return DOVECOT_LDA if os.path.exists(DOVECOT_LDA) else None

    def prepare(self, folder, box, locks):
        config = os.path.join(folder, "dovecot.conf")
        write(config, f"""
mail_location = mbox:{folder}/mail:INBOX={box}:INDEX=MEMORY
mbox_write_locks = {locks}
mbox_read_locks = {locks}
mbox_lock_timeout = 60 secs
mbox_dotlock_change_timeout = 20 mins
base_dir = {folder}/run
stats_writer_socket_path =
postmaster_address = {SENDER}
log_path = {folder}/dovecot.log
info_log_path = /dev/null
hostname = soak.example.org
ssl = no
""", 0o644)
        return [DOVECOT_LDA, "-c", config, "-f", SENDER]


AGENTS = {agent.name: agent for agent in (Procmail(), Maildrop(), Exim(), Dovecot())}


def pairs(agent, which):
    """(our mail-locks, the agent's): those that share a lock. `which`: "all", "default", or a list of ours separated by commas."""
    if which == "default":
        return [("dotlock fcntl flock", agent.locks)]
    ours = ALL_LOCKS if which == "all" else [item.strip() for item in which.split(",")]
    shares = [(own, agent.locks) for own in ours if set(own.split()) & set(agent.locks.split())]
    if agent.configurable:
        shares = [(own, own) for own in ours] + [pair for pair in shares if pair[0] != pair[1]]
    return shares
