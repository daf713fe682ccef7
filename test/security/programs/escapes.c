/*
 * Tries what would lead out of a sandbox, each by the system call itself, and prints "name<TAB>result": "done", the name
 * of the error, or "killed by N" of one tried in a child.
 *   escapes RUNNER_PID
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Names of errors for what is met here; musl has no strerrorname_np. */
static const char *error_name(int number) {
  static char other[32];
  switch (number) {
    case EPERM: return "EPERM";
    case EACCES: return "EACCES";
    case EROFS: return "EROFS";
    case ENOSYS: return "ENOSYS";
    case ENOENT: return "ENOENT";
    case EINVAL: return "EINVAL";
    case ESRCH: return "ESRCH";
    case EIO: return "EIO";
    case EAFNOSUPPORT: return "EAFNOSUPPORT";
    case EPROTONOSUPPORT: return "EPROTONOSUPPORT";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    case ENODEV: return "ENODEV";
    case ENXIO: return "ENXIO";
    case EFAULT: return "EFAULT";
    case ENOTTY: return "ENOTTY";
    case EBADF: return "EBADF";
  }
  snprintf(other, sizeof other, "errno %d", number);
  return other;
}

static void say(const char *name, long result) {
  printf("%s\t%s\n", name, result >= 0 ? "done" : error_name(errno));
  fflush(stdout);
}

/* In a child, so that what is done there to namespaces or by a signal does not reach the next one. */
static void apart(const char *name, long (*attack)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    long result = attack();
    int failed = errno;
    _exit(result >= 0 ? 0 : failed);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) printf("%s\tkilled by %d\n", name, WTERMSIG(status));
  else if (WEXITSTATUS(status) == 0) printf("%s\tdone\n", name);
  else printf("%s\t%s\n", name, error_name(WEXITSTATUS(status)));
  fflush(stdout);
}

static void write_to(const char *name, const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  long result = fd < 0 ? -1 : write(fd, text, strlen(text));
  say(name, result);
  if (fd >= 0) close(fd);
}

static void read_from(const char *name, const char *path) {
  char bytes[4096];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  long count = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
  if (count == 0) printf("%s\tempty\n", name);
  else say(name, count);
  if (fd >= 0) close(fd);
}

static long mount_proc(void) { return mount("proc", "/home/user", "proc", 0, NULL); }
static long mount_cgroup(void) { return mount("cgroup", "/home/user", "cgroup", 0, "memory"); }
static long mount_tmpfs(void) { return mount("none", "/home/user", "tmpfs", 0, NULL); }
static long mount_bind(void) { return mount("/", "/home/user", NULL, MS_BIND | MS_REC, NULL); }
static long mount_remount(void) { return mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long umount_sys(void) { return umount2("/proc/sys", MNT_DETACH); }
static long pivot(void) { return syscall(SYS_pivot_root, "/home/user", "/home/user"); }
static long to_root(void) { return chroot("/home/user"); }
static long new_user(void) { return unshare(CLONE_NEWUSER); }
static long new_mount(void) { return unshare(CLONE_NEWNS); }
static long new_network(void) { return unshare(CLONE_NEWNET); }
static long clone_user(void) { return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }
static long clone3_user(void) {
  uint64_t args[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
  return syscall(SYS_clone3, args, sizeof args);
}
static long join_init(void) {
  int fd = open("/proc/1/ns/mnt", O_RDONLY);
  return fd < 0 ? -1 : setns(fd, 0);
}
static long open_tree_root(void) { return syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */); }
static long fs_open(void) { return syscall(SYS_fsopen, "tmpfs", 0); }
static long load_bpf(void) { char attr[128] = {0}; return syscall(SYS_bpf, 0, attr, sizeof attr); }
static long perf(void) { char attr[128] = {0}; return syscall(SYS_perf_event_open, attr, 0, -1, -1, 0); }
static long uring(void) { char params[120] = {0}; return syscall(SYS_io_uring_setup, 4, params); }
static long user_fault(void) { return syscall(SYS_userfaultfd, 0); }
static long add_key(void) { return syscall(SYS_add_key, "user", "berth-attack", "x", 1, -3 /* session */); }
static long read_key(void) { return syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -4 /* user */, 1); }
static long kexec(void) { return syscall(SYS_kexec_load, 0, 0, NULL, 0); }
static long module(void) { return syscall(SYS_init_module, "x", 1, ""); }
static long reboot_now(void) { return syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD off */, NULL); }
static long swap_on(void) { return syscall(SYS_swapon, "/home/user/x", 0); }
static long account(void) { return syscall(SYS_acct, "/home/user/x"); }
static long kernel_log(void) { char text[64]; return syscall(SYS_syslog, 3, text, sizeof text); }
static long set_clock(void) { struct timespec zero = {0, 0}; return syscall(SYS_clock_settime, CLOCK_REALTIME, &zero); }
static long host_name(void) { return sethostname("attacked", 8); }
static long quota(void) { return syscall(SYS_quotactl, 0x800002 << 8, "/dev/vda", 0, NULL); }
static long by_handle(void) {
  struct { unsigned bytes; int type; unsigned char handle[8]; } root = {8, 1, {2}};
  int mount_fd = open("/home/user", O_RDONLY);
  return syscall(SYS_open_by_handle_at, mount_fd, &root, O_RDONLY);
}
#ifdef __x86_64__
static long io_ports(void) { return syscall(SYS_iopl, 3); }
/* The other system call tables of the same machine. */
static long table_32(void) { long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20L /* getpid */) : "memory"); return r; }
static long table_x32(void) { return syscall(0x40000000 + 39); }
#endif
static long device_char(void) { return mknod("/home/user/mem", S_IFCHR | 0666, (1 << 8) | 1); }
static long device_block(void) { return mknod("/home/user/disk", S_IFBLK | 0666, (8 << 8) | 0); }
static long type_into_terminal(void) { char byte = 'x'; return ioctl(0, TIOCSTI, &byte); }
/* The kernel takes the lower half of the number alone; a filter that compares the whole is passed. */
static long type_with_high_half(void) { char byte = 'x'; return syscall(SYS_ioctl, 0, 0x100000000L | TIOCSTI, &byte); }
static long make_subvolume(void) {
  struct { int64_t fd; char name[4088]; } args = {0, "escaped"};
  int fd = open("/home/user", O_RDONLY | O_DIRECTORY);
  return ioctl(fd, 0x5000940e, &args);
}
static long become_root(void) { return setuid(0); }
static long root_group(void) { gid_t groups[] = {0}; return syscall(SYS_setgroups, 1, groups); }
static long raise_files(void) { uint64_t limit[2] = {1 << 24, 1 << 24}; return syscall(SYS_prlimit64, 0, 7 /* NOFILE */, limit, NULL); }
static long regain_capability(void) { return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21 /* SYS_ADMIN */, 0, 0); }
static long drop_no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0); }

static long sock(int family, int type, int protocol) { return socket(family, type, protocol); }
static long packet(void) { return sock(17, SOCK_RAW, 0x0300); }
static long raw_ip(void) { return sock(AF_INET, SOCK_RAW, 1); }
static long raw_ip6(void) { return sock(AF_INET6, SOCK_RAW, 58); }
static long alg(void) { return sock(38, SOCK_SEQPACKET, 0); }
static long vsock(void) { return sock(40, SOCK_STREAM, 0); }
static long xdp(void) { return sock(44, SOCK_RAW, 0); }
/* rtnetlink(7), by hand: the kernel's headers are not on every machine. */
static long add_interface(void) {
  struct {
    uint32_t length; uint16_t type, flags; uint32_t number, port;
    uint8_t family, pad; uint16_t device; int32_t index; uint32_t up, change;
    uint16_t name_length, name_type; char name[8];
  } ask = {.length = sizeof ask, .type = 16 /* RTM_NEWLINK */, .flags = 0x405 /* REQUEST, ACK, CREATE */, .name_length = 9, .name_type = 3, .name = "out0"};
  struct { uint32_t length; uint16_t type, flags; uint32_t number, port; int32_t error; char rest[512]; } answer;
  int fd = socket(AF_NETLINK, SOCK_RAW, 0);
  if (fd < 0 || send(fd, &ask, sizeof ask, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0) return -1;
  errno = -answer.error;
  return errno == 0 ? 0 : -1;
}

static int runner;
static long trace_runner(void) { return ptrace(PTRACE_ATTACH, runner, 0, 0); }
static long read_runner(void) {
  char bytes[8];
  struct iovec here = {bytes, 8}, there = {(void *)0x400000, 8};
  return process_vm_readv(runner, &here, 1, &there, 1, 0);
}
static long take_descriptor(void) {
  int fd = syscall(SYS_pidfd_open, runner, 0);
  return fd < 0 ? -1 : syscall(SYS_pidfd_getfd, fd, 0, 0);
}
static long open_of_runner(const char *what) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", runner, what);
  return open(path, O_RDONLY);
}
static long runner_memory(void) { return open_of_runner("mem"); }
static long runner_environment(void) { return open_of_runner("environ"); }
static long runner_root(void) { return open_of_runner("root/etc/passwd"); }
static long runner_descriptor(void) { return open_of_runner("fd/0"); }

int main(int count, char **words) {
  runner = count > 1 ? atoi(words[1]) : 0;
#define TRY(name) apart(#name, name)
  TRY(mount_proc); TRY(mount_cgroup); TRY(mount_tmpfs); TRY(mount_bind); TRY(mount_remount); TRY(umount_sys);
  TRY(pivot); TRY(to_root); TRY(new_user); TRY(new_mount); TRY(new_network); TRY(clone_user); TRY(clone3_user);
  TRY(join_init); TRY(open_tree_root); TRY(fs_open); TRY(by_handle);
  TRY(load_bpf); TRY(perf); TRY(uring); TRY(user_fault); TRY(add_key); TRY(read_key); TRY(kexec); TRY(module);
  TRY(reboot_now); TRY(swap_on); TRY(account); TRY(kernel_log); TRY(set_clock); TRY(host_name); TRY(quota);
#ifdef __x86_64__
  TRY(io_ports); TRY(table_32); TRY(table_x32);
#endif
  TRY(device_char); TRY(device_block); TRY(type_into_terminal); TRY(type_with_high_half); TRY(make_subvolume);
  TRY(become_root); TRY(root_group); TRY(raise_files); TRY(regain_capability); TRY(drop_no_new_privs);
  TRY(packet); TRY(raw_ip); TRY(raw_ip6); TRY(alg); TRY(vsock); TRY(xdp); TRY(add_interface);
  TRY(trace_runner); TRY(read_runner); TRY(take_descriptor); TRY(runner_memory); TRY(runner_environment); TRY(runner_root);
  TRY(runner_descriptor);
  write_to("core_pattern", "/proc/sys/kernel/core_pattern", "|/home/user/escaped");
  write_to("modprobe", "/proc/sys/kernel/modprobe", "/home/user/escaped");
  write_to("sysrq", "/proc/sysrq-trigger", "h");
  write_to("binfmt", "/proc/sys/fs/binfmt_misc/register", ":x:M::x::/home/user/escaped:");
  write_to("uevent_helper", "/sys/kernel/uevent_helper", "/home/user/escaped");
  write_to("release_agent", "/sys/fs/cgroup/memory/release_agent", "/home/user/escaped");
  write_to("notify_on_release", "/sys/fs/cgroup/memory/notify_on_release", "1");
  write_to("own_memory_limit", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1");
  write_to("own_memory_max", "/sys/fs/cgroup/memory.max", "max");
  write_to("own_devices", "/sys/fs/cgroup/devices/devices.allow", "a *:* rwm");
  write_to("oom_score", "/proc/self/oom_score_adj", "-1000");
  say("cgroup_child", mkdir("/sys/fs/cgroup/memory/child", 0755));
  say("cgroup_child_v2", mkdir("/sys/fs/cgroup/child", 0755));
  read_from("kcore", "/proc/kcore");
  read_from("keys", "/proc/keys");
  read_from("interrupts", "/proc/interrupts");
  read_from("mem", "/dev/mem");
  read_from("kmsg", "/dev/kmsg");
  read_from("disk", "/dev/vda");
  read_from("shadow", "/etc/shadow");
  read_from("firmware", "/sys/firmware/acpi/tables/DSDT");
  return 0;
}
