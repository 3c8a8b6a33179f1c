// SPDX-License-Identifier: MIT
// seccomp by libseccomp, Landlock by its three system calls, rlimits.
// Runs as: the role's own user, after the drop.
#include "common/priv/sandbox.h"

#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "common/base/unique_fd.h"

namespace qpop::priv {

namespace {

using base::Error;
using base::ErrorKind;

struct FilterFree {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterFree>;

/// What the kernel is given. Processes that are forked often get one that was made before the fork.
using Program = std::vector<sock_filter>;

/// A call number of another ABI (x32, i386) is not what the rules below were written for: libseccomp's own default kills for it.
base::Result<Program> compile(const Filter& filter) {
  // A tree of comparisons: the kernel walks the program once for each call number when it is loaded. Older libraries do without.
  (void)seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  const base::UniqueFd file{::memfd_create("filter", MFD_CLOEXEC)};
  if (!file.valid()) return Error::from_errno(errno, "memfd_create");
  if (const int error = seccomp_export_bpf(filter.get(), file.get()); error < 0) return Error::from_errno(-error, "seccomp_export_bpf");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Error::from_errno(errno, "fstat");
  const auto size = static_cast<std::size_t>(status.st_size);
  Program program(size / sizeof(sock_filter));
  if (program.empty() || size % sizeof(sock_filter) != 0 || program.size() > BPF_MAXINSNS) return Error{ErrorKind::io, "no filter came out of libseccomp"};
  if (::pread(file.get(), program.data(), size, 0) != static_cast<ssize_t>(size)) return Error{ErrorKind::io, "the filter was not read"};
  return program;
}

base::Status load(const base::Result<Program>& program) {
  if (!program) return program.error();
  const sock_fprog given{static_cast<unsigned short>(program->size()), const_cast<sock_filter*>(program->data())};  // NOLINT: the kernel only reads it
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Error::from_errno(errno, "prctl no_new_privs");
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &given, 0, 0) == 0) return {};
  if (errno == EINVAL || errno == ENOSYS) return Error{ErrorKind::unsupported, "this kernel has no seccomp filters"};
  return Error::from_errno(errno, "prctl seccomp");
}

// The sanitizers' run time makes calls of its own choice; in such builds a foreign call is logged by the kernel, not punished.
constexpr std::uint32_t kForeignCall = QPOP_SANITIZED ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;

/// 22 calls; getpid is how libcrypto notices that it was forked. mmap and mprotect of executable memory are not among them (see below).
constexpr std::array kSessionCalls{
    SCMP_SYS(read),     SCMP_SYS(write),      SCMP_SYS(sendmsg),       SCMP_SYS(recvmsg),         SCMP_SYS(sendto),
    SCMP_SYS(poll),     SCMP_SYS(ppoll),      SCMP_SYS(pread64),       SCMP_SYS(fstat),           SCMP_SYS(close),
    SCMP_SYS(shutdown), SCMP_SYS(brk),        SCMP_SYS(munmap),        SCMP_SYS(mremap),          SCMP_SYS(madvise),
    SCMP_SYS(futex),    SCMP_SYS(exit_group), SCMP_SYS(clock_gettime), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(getrandom), SCMP_SYS(getpid),
};

/// What a process that only works on a few files never needs.
constexpr std::array kForbiddenCalls{
    SCMP_SYS(execve),     SCMP_SYS(execveat),     SCMP_SYS(ptrace),          SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),      SCMP_SYS(umount2),      SCMP_SYS(chroot),          SCMP_SYS(pivot_root),       SCMP_SYS(setuid),
    SCMP_SYS(setgid),     SCMP_SYS(setreuid),     SCMP_SYS(setregid),        SCMP_SYS(setresuid),        SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),  SCMP_SYS(socket),       SCMP_SYS(connect),         SCMP_SYS(bind),             SCMP_SYS(listen),
    SCMP_SYS(accept),     SCMP_SYS(accept4),      SCMP_SYS(bpf),             SCMP_SYS(io_uring_setup),   SCMP_SYS(keyctl),
    SCMP_SYS(add_key),    SCMP_SYS(request_key),  SCMP_SYS(unshare),         SCMP_SYS(setns),            SCMP_SYS(userfaultfd),
    SCMP_SYS(kexec_load), SCMP_SYS(init_module),  SCMP_SYS(finit_module),    SCMP_SYS(perf_event_open),  SCMP_SYS(fork),
    SCMP_SYS(vfork),      SCMP_SYS(personality),  SCMP_SYS(open_by_handle_at), SCMP_SYS(mknod),          SCMP_SYS(mknodat),
    SCMP_SYS(chmod),      SCMP_SYS(fchmod),       SCMP_SYS(fchmodat),        SCMP_SYS(chown),            SCMP_SYS(fchown),
    SCMP_SYS(lchown),     SCMP_SYS(fchownat),     SCMP_SYS(setxattr),        SCMP_SYS(lsetxattr),        SCMP_SYS(fsetxattr),
    SCMP_SYS(removexattr), SCMP_SYS(lremovexattr), SCMP_SYS(fremovexattr),   SCMP_SYS(truncate),
};

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kFileAccess = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | kReadFile;
constexpr std::uint64_t kFolderAccess = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                        LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                        LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                                        LANDLOCK_ACCESS_FS_MAKE_SYM;
// Values of newer kernel headers than Debian 12's (include/uapi/linux/landlock.h).
constexpr std::uint64_t kRefer = 1ULL << 13U;
constexpr std::uint64_t kTruncate = 1ULL << 14U;
constexpr std::uint64_t kNeverGranted = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                                        LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

std::uint64_t handled_access(long abi) {
  std::uint64_t handled = kFileAccess | kFolderAccess;
  if (abi >= 2) handled |= kRefer;
  if (abi >= 3) handled |= kTruncate;
  return handled;
}

base::Status allow_folder(int ruleset, int folder, std::uint64_t handled) {
  struct stat status {};
  if (::fstat(folder, &status) != 0) return Error::from_errno(errno, "fstat");
  landlock_path_beneath_attr rule{};
  rule.allowed_access = handled & ~kNeverGranted;
  if (!S_ISDIR(status.st_mode)) rule.allowed_access &= kFileAccess | kTruncate;
  rule.parent_fd = folder;
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) return Error::from_errno(errno, "landlock_add_rule");
  return {};
}

base::Status set_limit(__rlimit_resource_t what, rlim_t value, const char* name) {
  rlimit limit{value, value};
  rlimit now{};
  if (::getrlimit(what, &now) == 0 && now.rlim_max < value) limit = {now.rlim_max, now.rlim_max};
  if (::setrlimit(what, &limit) != 0) return Error::from_errno(errno, name);
  return {};
}

base::Result<Program> make_session_program() {
  const Filter filter{seccomp_init(kForeignCall)};
  if (!filter) return Error{ErrorKind::unsupported, "seccomp cannot be used"};
  int error = 0;
  for (const int call : kSessionCalls) error = error != 0 ? error : seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  // fstat(3) of newer C libraries is newfstatat with an empty path.
  if (error == 0) error = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 0);
  // Memory, but never executable memory.
  if (error == 0) {
    const scmp_arg_cmp not_executable{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
    error = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_executable);
  }
  if (error < 0) return Error::from_errno(-error, "seccomp_rule_add");
  return compile(filter);
}

base::Result<Program> make_file_role_program() {
  const Filter filter{seccomp_init(SCMP_ACT_ALLOW)};
  if (!filter) return Error{ErrorKind::unsupported, "seccomp cannot be used"};
  for (const int call : kForbiddenCalls) {
    const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
    // Calls that this architecture does not have need no rule.
    if (error < 0 && error != -EDOM && error != -EFAULT) return Error::from_errno(-error, "seccomp_rule_add");
  }
  return compile(filter);
}

const base::Result<Program>& session_program() {
  static const auto program = make_session_program();
  return program;
}

const base::Result<Program>& file_role_program() {
  static const auto program = make_file_role_program();
  return program;
}

}  // namespace

void prepare_filters() {
  (void)session_program();
  (void)file_role_program();
}

base::Status restrict_calls_of_session() { return load(session_program()); }

base::Status restrict_calls_of_file_role() { return load(file_role_program()); }

base::Status restrict_files_to(std::span<const int> folders) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) return Error{ErrorKind::unsupported, "this kernel has no Landlock"};
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = handled_access(abi);
  const base::UniqueFd ruleset{static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0))};
  if (!ruleset.valid()) return Error::from_errno(errno, "landlock_create_ruleset");
  for (const int folder : folders) {
    if (auto allowed = allow_folder(ruleset.get(), folder, attributes.handled_access_fs); !allowed) return allowed;
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return Error::from_errno(errno, "landlock_restrict_self");
  return {};
}

std::vector<std::string> missing_kernel_features() {
  std::vector<std::string> missing;
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) missing.emplace_back("Landlock");
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) missing.emplace_back("seccomp");
  return missing;
}

base::Status limit_resources(const Limits& limits) {
  if (limits.no_new_files) {
    if (auto set = set_limit(RLIMIT_FSIZE, 0, "setrlimit fsize"); !set) return set;
  }
  if (limits.no_processes && !QPOP_SANITIZED) {
    if (auto set = set_limit(RLIMIT_NPROC, 0, "setrlimit nproc"); !set) return set;
  }
  if (limits.address_space != 0 && !QPOP_SANITIZED) {
    if (auto set = set_limit(RLIMIT_AS, limits.address_space, "setrlimit as"); !set) return set;
  }
  if (limits.cpu_seconds != 0) {
    if (auto set = set_limit(RLIMIT_CPU, limits.cpu_seconds, "setrlimit cpu"); !set) return set;
  }
  return {};
}

}  // namespace qpop::priv
