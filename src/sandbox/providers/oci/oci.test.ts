import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { options, sandboxProviderSuite, shell, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { leftovers, openHarness, type OciHarness } from './oci.fixture.ts';
import { createOciProvider } from './oci.ts';

sandboxProviderSuite('oci', openHarness);

describe('oci: isolation', () => {
  let harness: OciHarness;
  let provider: SandboxProvider;
  let spec: ReturnType<typeof specFor>;

  beforeAll(async () => {
    harness = await openHarness();
    provider = harness.provider;
    await provider.list(options());
    spec = specFor(provider, 'default');
    await provider.create(spec, options());
  });

  afterAll(async () => {
    await provider.destroy(spec.id, options());
    await harness.cleanup();
  });

  const run = (script: string) => shell(provider, spec, script);

  test('no capability, no new privileges, a filter on system calls', async () => {
    const status = (await run('cat /proc/self/status')).stdout;
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(status).toMatch(new RegExp(`^${set}:\\s+0{16}$`, 'm'));
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(status).toMatch(/^Seccomp:\s+2$/m);
  });

  test('namespaces of its own', async () => {
    for (const name of ['pid', 'mnt', 'uts', 'ipc', 'net', 'cgroup']) {
      const [inside, outside] = [
        (await run(`readlink /proc/self/ns/${name}`)).stdout,
        await import('node:fs/promises').then((fs) => fs.readlink(`/proc/self/ns/${name}`)),
      ];
      expect(inside, name).not.toBe(outside);
    }
  });

  test('only loopback, and it is up', async () => {
    const facts = await run('tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "; ip -brief link 2>/dev/null | head -1');
    expect(facts.stdout.split('\n')[0]).toBe('lo');
    const interfaces = (await run('ls /sys/class/net')).stdout;
    expect(interfaces).toBe('lo');
    expect((await run('timeout 2 bash -c "exec 3<>/dev/tcp/1.1.1.1/80"')).stderr).toMatch(/unreachable/i);
  });

  test('what is not its own is not writable', async () => {
    for (const path of [
      '/usr',
      '/etc',
      '/berth/runner',
      '/berth/agents',
      '/berth/objects',
      '/sys',
      '/proc/sys/kernel',
      '/sys/fs/cgroup/memory',
      '/',
    ]) {
      expect((await run(`touch ${path}/x`)).exitCode, path).not.toBe(0);
    }
    expect((await run('cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c')).stdout).toBe('0');
  });

  test('nothing of the host: accounts, keys, homes, machine id', async () => {
    for (const path of [
      '/etc/shadow',
      '/etc/ssh',
      '/etc/machine-id',
      '/etc/ssl/private',
      '/root/.ssh',
      harness.dataDir,
    ]) {
      expect((await run(`ls ${path} 2>/dev/null | head -1`)).stdout, path).toBe('');
    }
    expect((await run('cut -d: -f1 /etc/passwd')).stdout.split('\n')).toEqual(['root', 'user', 'nobody']);
  });

  test('the calls that lead out are refused', async () => {
    const calls = {
      unshare: 'unshare --user true',
      mount: 'mount -t tmpfs none /tmp',
      keyctl: `python3 -c 'import ctypes,os;l=ctypes.CDLL(None,use_errno=True);exit(0 if l.syscall(250,0,0,0,0,0)>=0 else 1)'`,
      bpf: `python3 -c 'import ctypes;exit(0 if ctypes.CDLL(None).syscall(321,0,0,0)>=0 else 1)'`,
      vsock: `python3 -c 'import socket;socket.socket(40,1)'`,
    };
    for (const [name, call] of Object.entries(calls)) expect((await run(call)).exitCode, name).not.toBe(0);
    // What must go on working beside them.
    expect(
      (
        await run(
          `python3 -c 'import socket,threading,subprocess;socket.socket();subprocess.check_call(["true"]);t=threading.Thread(target=print);t.start();t.join()'`,
        )
      ).exitCode,
    ).toBe(0);
  });

  test('no subvolume can be made to get out of the disk limit', async () => {
    const attempt = (number: number) =>
      run(`cd ~ && python3 -c '
import ctypes,os
libc=ctypes.CDLL(None,use_errno=True)
made=libc.syscall(16,os.open(".",os.O_RDONLY),ctypes.c_ulong(${number}),ctypes.create_string_buffer(b"\\0"*8+b"escape",4096))
print("made" if made==0 else ctypes.get_errno())
'`);
    const [EPERM, ENOTTY] = ['1', '25'];
    // BTRFS_IOC_SUBVOL_CREATE and SNAP_CREATE; with the upper half of the word set, which the kernel ignores; TIOCSTI.
    for (const number of [0x5000_940e, 0x5000_9401, 0xff_5000_940e, 0x5412]) {
      expect((await attempt(number)).stdout, number.toString(16)).toBe(EPERM);
    }
    // Its neighbours pass the filter.
    for (const number of [0x5000_9300, 0x5413, 0xff_0000_5413]) expect((await attempt(number)).stdout).toBe(ENOTTY);
  });

  test('the limits can be read inside', async () => {
    const v1 = existsSync('/sys/fs/cgroup/memory');
    const file = v1 ? '/sys/fs/cgroup/memory/memory.limit_in_bytes' : '/sys/fs/cgroup/memory.max';
    expect((await run(`cat ${file}`)).stdout).toBe(String(spec.limits.memoryBytes));
    const cpu = v1 ? 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us' : 'cut -d" " -f1 /sys/fs/cgroup/cpu.max';
    expect((await run(cpu)).stdout).toBe('100000');
  });

  test('a planted link at the place of the socket is not followed', async () => {
    const other = specFor(provider, 'default');
    await provider.create(other, options());
    try {
      await shell(provider, other, 'true');
      const run = join(harness.dataDir, 'storage/sandboxes', other.id, 'run');
      await unlink(join(run, 'runner.sock'));
      await symlink(join(harness.dataDir, 'storage/sandboxes', spec.id, 'run/runner.sock'), join(run, 'runner.sock'));
      await expect(provider.dial(other.id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
      // And a start clears what was planted in place of the token.
      await symlink('/etc/passwd', join(run, 'token'));
      await provider.stop(other.id, options());
      await provider.start(other.id, options());
      expect((await shell(provider, other, 'echo back')).stdout).toBe('back');
    } finally {
      await provider.destroy(other.id, options());
    }
  });

  test('the sandbox that ends by itself is stopped, and can be started', async () => {
    const other = specFor(provider, 'default');
    await provider.create(other, options());
    try {
      await shell(
        provider,
        other,
        '(sleep 0.1; kill -9 $(pgrep -x node) ; kill -9 $(pgrep -f main.mjs)) >/dev/null 2>&1 &',
      );
      await expect
        .poll(async () => (await provider.get(other.id, options())).status, { timeout: 10_000 })
        .toBe('stopped');
      expect((await provider.start(other.id, options())).status).toBe('running');
    } finally {
      await provider.destroy(other.id, options());
    }
  });

  test('a second process on the same data directory is told who has it', async () => {
    const second = createOciProvider({ dataDir: harness.dataDir });
    await expect(second.list(options())).rejects.toMatchObject({
      code: 'conflict',
      context: { pid: String(process.pid) },
    });
    await second.close();
  });
});

describe('oci: templates without glibc', () => {
  test('the runner works in an empty root with one static program, and so does a program bound to glibc', async () => {
    const harness = await openHarness();
    const { provider, dataDir } = harness;
    try {
      await provider.list(options());
      const rootfs = join(dataDir, 'templates/bare/1/rootfs');
      await mkdir(rootfs, { recursive: true });
      await writeFile(join(dataDir, 'templates/bare/1/template.json'), '{}');
      await writeFile(join(dataDir, 'templates/bare/current'), '1\n');
      const spec = specFor(provider, 'bare');
      await provider.create(spec, options());
      const { createRunnerClient } = await import('../../runner-client/index.ts');
      const runner = createRunnerClient({
        dial: (port, call) => provider.dial(spec.id, port, call),
        token: spec.runnerToken,
      });
      const node = await runner.exec(
        { argv: ['/berth/runner/bin/node', '-p', 'process.version'] },
        AbortSignal.timeout(10_000),
      );
      expect(Buffer.from(node.stdout).toString().trim()).toBe(process.version);
      // Copied in with its usual interpreter, as an agent's own binary is.
      await runner.writeFile(
        '/home/user/true',
        (async function* () {
          yield readFileSync('/bin/true');
        })(),
        { mode: 0o755, makeParents: false },
        AbortSignal.timeout(10_000),
      );
      const program = await runner.exec({ argv: ['/home/user/true'] }, AbortSignal.timeout(10_000));
      expect(program.exitCode).toBe(0);
      runner.close();
      await provider.destroy(spec.id, options());
      expect(await harness.leftovers(spec.id)).toEqual([]);
    } finally {
      await harness.cleanup();
    }
  });
});

describe('oci: storage without btrfs', () => {
  test('a disk limit is refused, and a sandbox without one works', async () => {
    const harness = await openHarness({ storage: 'directory' });
    const { provider } = harness;
    try {
      await provider.list(options());
      expect(provider.capabilities.limits).not.toContain('diskBytes');
      const spec = specFor(provider, 'default');
      const limited = { ...spec, limits: { ...spec.limits, diskBytes: 1024 ** 3 } };
      await expect(provider.create(limited, options())).rejects.toMatchObject({
        code: 'invalid_request',
        field: 'limits.diskBytes',
      });
      await provider.create(spec, options());
      expect((await shell(provider, spec, 'echo fine')).stdout).toBe('fine');
      expect((await provider.stats(spec.id, options())).diskBytes).toBeGreaterThan(0);
      await provider.destroy(spec.id, options());
      expect(await harness.leftovers(spec.id)).toEqual([]);
    } finally {
      await harness.cleanup();
    }
  });
});

describe('oci: killed at any instant', () => {
  test('what a killed process leaves is found and removed by the next', async () => {
    const harness = await openHarness();
    const { dataDir } = harness;
    try {
      await harness.provider.list(options());
      const warm = specFor(harness.provider, 'default');
      await harness.provider.create(warm, options());
      await harness.provider.destroy(warm.id, options());
      await harness.provider.close();
      for (const afterMs of [5, 12, 20, 30, 45, 60, 80, 100, 120, 140]) {
        const id = `sbx_killed_${afterMs}`;
        const child = spawn(
          process.execPath,
          ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'kill.fixture.ts'), dataDir, id],
          {
            stdio: ['ignore', 'pipe', 'inherit'],
          },
        );
        await once(child.stdout, 'data');
        await sleep(afterMs);
        child.kill('SIGKILL');
        await once(child, 'exit');
        const next = createOciProvider({ dataDir });
        const infos = await next.list(options());
        const left = await leftovers(dataDir, id);
        if (left.length > 0)
          expect(
            infos.map((info) => info.id),
            `killed after ${afterMs} ms: ${left.join(', ')}`,
          ).toEqual([id]);
        await next.destroy(id, options());
        await next.close();
        // A moment later: nothing may come up after the removal.
        await sleep(50);
        expect(await leftovers(dataDir, id), `killed after ${afterMs} ms`).toEqual([]);
      }
    } finally {
      await harness.cleanup();
    }
  });
});
