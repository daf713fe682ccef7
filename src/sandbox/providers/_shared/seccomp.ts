/** The runtime-spec's `linux.seccomp`. */
export interface SeccompProfile {
  defaultAction: string;
  defaultErrnoRet: number;
  architectures: readonly string[];
  syscalls: readonly SeccompRule[];
}

interface SeccompRule {
  names: readonly string[];
  action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  errnoRet?: number;
  args?: readonly { index: number; value: number; valueTwo?: number; op: string }[];
}

const EPERM = 1;
const ENOSYS = 38;

/**
 * What ordinary programs, compilers, debuggers, databases and browsers need. Left out, among others:
 * mounts and namespaces, modules, BPF, performance counters, keys, io_uring and userfaultfd (a long
 * history of kernel holes, and programs fall back without them), clocks, swap, reboot, quota.
 */
const allowed = `
accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres
clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group
faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait
futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_setup io_submit ioprio_get ioprio_set kcmp kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat llistxattr lremovexattr lseek
lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat
mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink
mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2
pause pidfd_getfd pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl
pread64 preadv preadv2 prlimit64 process_madvise process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64
pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg removexattr removexattrat
rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid
setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt
setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair
splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times
tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
`
  .trim()
  .split(/\s+/);

/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. The rest (AF_ALG, AF_VSOCK, AF_PACKET, ...) reaches code of the kernel that nothing here needs. */
const socketFamilies = [1, 2, 10, 16];

/** CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET of sched.h. */
const namespaceFlags = 0x7e02_0000;

/** PER_LINUX, PER_LINUX32, UNAME26 with either, and the query. Debuggers add ADDR_NO_RANDOMIZE (0x40000). */
const personalities = [0x0, 0x8, 0x2_0000, 0x2_0008, 0x4_0000, 0xffff_ffff];

/**
 * TIOCSTI and TIOCLINUX put input into a terminal that is not one's own. The four of btrfs make
 * subvolumes and snapshots, which anyone who may write to a directory may, and which are outside the
 * disk limit: BTRFS_IOC_SNAP_CREATE, SUBVOL_CREATE, SNAP_CREATE_V2, SUBVOL_CREATE_V2 of linux/btrfs.h.
 */
const refusedIoctls = [0x5412, 0x541c, 0x5000_9401, 0x5000_940e, 0x5000_9417, 0x5000_9418];

const architectures: Partial<Record<NodeJS.Architecture, string>> = {
  x64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
};

/** The profile for this machine's architecture alone: a call by another ABI ends its process. */
export function createSeccompProfile(architecture: NodeJS.Architecture = process.arch): SeccompProfile {
  const name = architectures[architecture];
  if (name === undefined) throw new Error(`there is no seccomp profile for ${architecture}`);
  const allow = (names: readonly string[], args?: SeccompRule['args']): SeccompRule => ({
    names,
    action: 'SCMP_ACT_ALLOW',
    ...(args === undefined ? {} : { args }),
  });
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: [name],
    syscalls: [
      allow(allowed),
      allow(['clone'], [{ index: 0, value: namespaceFlags, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
      // Its flags are behind a pointer, where a filter cannot look; libc then takes clone.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
      // Otherwise programs take EPERM for a hard failure instead of falling back.
      { names: ['io_uring_setup', 'io_uring_enter', 'io_uring_register'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
      ...socketFamilies.map((family) => allow(['socket'], [{ index: 0, value: family, op: 'SCMP_CMP_EQ' }])),
      ...personalities.map((value) => allow(['personality'], [{ index: 0, value, op: 'SCMP_CMP_EQ' }])),
      ...allBut(refusedIoctls).map(({ mask, value }) =>
        allow(['ioctl'], [{ index: 1, value: mask, valueTwo: value, op: 'SCMP_CMP_MASKED_EQ' }]),
      ),
    ],
  };
}

/**
 * Every 32-bit number but those given, as blocks `(x & mask) == value`. A filter rule has one
 * comparison per argument and rules are joined by "or", so "none of these" cannot be said directly; and
 * the mask leaves out the upper half, which the kernel ignores and a caller could set at will.
 */
export function allBut(refused: readonly number[]): { mask: number; value: number }[] {
  const blocks: { mask: number; value: number }[] = [];
  const split = (value: number, bits: number, inside: readonly number[]): void => {
    if (inside.length === 0) {
      blocks.push({ mask: (2 ** 32 - 2 ** bits) % 2 ** 32, value });
      return;
    }
    if (bits === 0) return;
    const middle = value + 2 ** (bits - 1);
    split(
      value,
      bits - 1,
      inside.filter((number) => number < middle),
    );
    split(
      middle,
      bits - 1,
      inside.filter((number) => number >= middle),
    );
  };
  split(0, 32, refused);
  return blocks;
}
