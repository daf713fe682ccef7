import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runsOnGvisor } from '../../e2e/harness.ts';
import type { Range } from '../range.ts';

/** By the seccomp filter, by lacking a capability, or both: which of the two answers first is the kernel's business. */
const eperm = `
  mount_proc mount_cgroup mount_tmpfs mount_bind mount_remount umount_sys pivot to_root new_user new_mount new_network clone_user
  join_init open_tree_root fs_open by_handle load_bpf perf user_fault add_key read_key kexec module reboot_now swap_on account
  kernel_log set_clock host_name quota io_ports device_char device_block type_into_terminal type_with_high_half make_subvolume
  become_root root_group raise_files regain_capability packet raw_ip raw_ip6 alg vsock xdp add_interface
  trace_runner read_runner take_descriptor
`.trim().split(/\s+/);

/** Of runc and crun. `device_char` and the like, see `eperm`. */
const onTheKernel: Record<string, string | RegExp> = {
  ...Object.fromEntries(eperm.map((name) => [name, 'EPERM'])),
  clone3_user: 'ENOSYS',
  uring: 'ENOSYS',
  table_32: /^killed by (31|11)$/,
  table_x32: /^killed by 31$|^ENOSYS$/,
  drop_no_new_privs: 'EINVAL',
  join_init: /^E(PERM|ACCES)$/,
  runner_memory: 'EACCES',
  runner_environment: 'EACCES',
  runner_root: 'EACCES',
  runner_descriptor: 'EACCES',
  core_pattern: /^E(ROFS|ACCES)$/,
  modprobe: /^E(ROFS|ACCES|NOENT)$/,
  sysrq: /^E(ROFS|ACCES|NOENT)$/,
  binfmt: /^E(ROFS|ACCES|NOENT)$/,
  uevent_helper: /^E(ROFS|ACCES|NOENT)$/,
  // Not there where the host has another version of cgroups; which is there is looked at below.
  release_agent: /^E(ROFS|ACCES|NOENT)$/,
  notify_on_release: /^E(ROFS|ACCES|NOENT)$/,
  own_memory_limit: /^E(ROFS|ACCES|NOENT)$/,
  own_memory_max: /^E(ROFS|ACCES|NOENT)$/,
  own_devices: /^E(ROFS|ACCES|NOENT)$/,
  oom_score: 'EACCES',
  cgroup_child: /^E(ROFS|ACCES|NOENT)$/,
  cgroup_child_v2: /^E(ROFS|ACCES|NOENT)$/,
  kcore: /^empty$|^E(ACCES|NOENT)$/,
  keys: /^empty$|^E(ACCES|NOENT)$/,
  interrupts: /^empty$|^E(ACCES|NOENT)$/,
  mem: 'ENOENT',
  kmsg: 'ENOENT',
  disk: 'ENOENT',
  shadow: /^E(ACCES|NOENT)$/,
  firmware: 'ENOENT',
};

/**
 * What gVisor does by itself and for itself, and of which the host's kernel knows nothing: users of its own, its own log, a figure that
 * nobody reads. It also shows the runner's environment and open files to its neighbours; there is no secret in either.
 */
const withinGvisor = new Set(['new_user', 'clone_user', 'clone3_user', 'kernel_log', 'oom_score', 'runner_environment', 'runner_descriptor']);

/** Of the host, and so what an escape by way of these would change. */
function hostFacts() {
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8').trim();
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
  };
  const paths = ['core_pattern', 'modprobe', 'hostname', 'sysrq', 'ctrl-alt-del'].map((name) => `/proc/sys/kernel/${name}`);
  return {
    tunables: Object.fromEntries([...paths, '/sys/kernel/uevent_helper', '/sys/fs/cgroup/memory/release_agent'].map((path) => [path, read(path)])),
    interfaces: Object.keys(JSON.parse(JSON.stringify(execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }).match(/^\d+: [^:@]+/gm)))),
    swaps: read('/proc/swaps'),
    escaped: execFileSync('sh', ['-c', 'ls -d /escaped /home/user/escaped /etc/escaped /tmp/escaped 2>/dev/null || true'], { encoding: 'utf8' }),
  };
}

export function escapeCases(range: () => Range): void {
  test('system calls, kernel files and devices that lead out are refused, and the host is as it was', async () => {
    const { attacker, run, attack } = range();
    const before = hostFacts();
    const clock = Date.now();
    // What starts a command is the runner.
    const runner = (await run(attacker, ['sh', '-c', 'echo $PPID'])).out.trim();
    expect(Number(runner)).toBeGreaterThan(1);
    const { out } = await attack('escapes', runner);
    const results = Object.fromEntries(out.trim().split('\n').map((line) => line.split('\t') as [string, string]));
    if (runsOnGvisor) {
      const done = Object.keys(results).filter((name) => results[name] === 'done' && !withinGvisor.has(name));
      expect(done).toEqual([]);
      expect(Object.keys(results).toSorted()).toEqual(Object.keys(onTheKernel).toSorted());
    } else {
      expect(results).toEqual(Object.fromEntries(Object.entries(onTheKernel).map(([name, expected]) => [name, expected instanceof RegExp ? expect.stringMatching(expected) : expected])));
    }
    expect(hostFacts()).toEqual(before);
    expect(Date.now()).toBeGreaterThanOrEqual(clock);
  });

  test('no capability, no new privileges, a filter, and a set-user-id program that gives nothing', async () => {
    const { attacker, run } = range();
    const status = (await run(attacker, ['sh', '-c', 'grep -E "^(Cap|NoNewPrivs|Seccomp:|Uid|Gid)" /proc/self/status'])).out;
    const facts = Object.fromEntries(status.trim().split('\n').map((line) => line.split(/:\s+/) as [string, string]));
    // gVisor tells less of itself there.
    const sets = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].filter((set) => !runsOnGvisor || facts[set] !== undefined);
    expect(sets).toContain('CapEff');
    for (const set of sets) expect(facts[set], set).toMatch(/^0+$/);
    expect(facts).toMatchObject({ Uid: expect.stringMatching(/^1000\s1000\s1000\s1000$/) });
    if (!runsOnGvisor) expect(facts).toMatchObject({ Seccomp: '2', NoNewPrivs: '1' });
    // `su` is set-user-id root in the template; the copy is what a sandbox could bring.
    const script = 'su -c "id -u" root </dev/null 2>&1; cp /bin/sh mine && chmod 6755 mine && ./mine -c "id -u; id -ru"';
    const { out } = await run(attacker, ['sh', '-c', script]);
    expect(out).not.toMatch(/^0$/m);
    expect(out.trim().endsWith('1000\n1000')).toBe(true);
  });

  test('what /proc shows is the sandbox alone', async () => {
    const { attacker, run, server } = range();
    const script = 'ls -d /proc/[0-9]* | wc -l; cat /proc/[0-9]*/cmdline | tr "\\0" "\\n" | grep -c "[u]p --json"; stat -Lc %d:%i / /proc/1/root/ 2>&1; cat /proc/self/mountinfo; ls /sys/fs/cgroup 2>&1';
    const { out } = await run(attacker, ['sh', '-c', script]);
    const [processes, servers] = out.split('\n');
    expect(Number(processes)).toBeLessThan(40);
    expect(servers).toBe('0');
    expect(server.pid).toBeGreaterThan(0);
    // gVisor's are its own kernel's.
    if (runsOnGvisor) return;
    for (const line of out.split('\n').filter((each) => / \/(proc|sys)\b/.test(each))) expect(line).toMatch(/ ro,|nosuid/);
  });
}
