import type Docker from 'dockerode';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeEngine } from './engine-facts.ts';

let directory: string;
let socketPath: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-facts-'));
  socketPath = join(directory, 'sock');
  await writeFile(socketPath, '');
});

afterEach(() => rm(directory, { recursive: true }));

/** One that says of itself what a kind of engine was seen to say. */
function engine(info: object, podman: { controllers: string[] } | null = null): Docker {
  const Components = podman === null ? [{ Name: 'Engine' }] : [{ Name: 'Podman Engine' }];
  return {
    info: async () => ({ DockerRootDir: directory, OSType: 'linux', CgroupVersion: '2', ...info }),
    version: async () => ({ Version: '1', Components }),
    modem: {
      dial: (_call: object, answer: (error: null, body: object) => void) => answer(null, { host: { cgroupControllers: podman?.controllers } }),
    },
  } as unknown as Docker;
}

test("a rootless engine is its socket's owner's", async () => {
  await chown(socketPath, 64_001, 64_002);
  const user = { uid: 64_001, gid: 64_002 };
  const docker = engine({ SecurityOptions: ['name=seccomp,profile=default', 'name=rootless', 'name=cgroupns'] });
  expect(await describeEngine(docker, socketPath)).toMatchObject({ name: 'Docker', user, unusable: null });
  const podman = engine({ Rootless: true, SecurityOptions: ['name=seccomp,profile=default'] }, { controllers: [] });
  expect(await describeEngine(podman, socketPath)).toMatchObject({ name: 'Podman', user, unusable: null });
  expect(await describeEngine(engine({ SecurityOptions: ['name=userns'] }), socketPath)).toMatchObject({ user: null, unusable: null });
});

test('what cannot hold a sandbox is refused with the reason', async () => {
  const reason = async (info: object) => (await describeEngine(engine(info), socketPath)).unusable;
  expect(await reason({ SecurityOptions: ['name=rootless'], CgroupVersion: '1' })).toMatch(/cgroup v1/);
  expect(await reason({ CgroupVersion: '1' })).toBeNull();
  expect(await reason({ DockerRootDir: '/nowhere/docker' })).toMatch(/another machine/);
  expect(await reason({ OSType: 'windows' })).toMatch(/not Linux/);
});

test('Podman is asked for its controllers, and has the runtimes that are there', async () => {
  const info = {
    MemoryLimit: true,
    PidsLimit: true,
    Runtimes: { sh: { path: '/bin/sh' }, kata: { path: '/usr/bin/no-such-runtime' }, runc: { path: 'runc' } },
  };
  const facts = await describeEngine(engine(info, { controllers: ['memory'] }), socketPath);
  expect(facts).toMatchObject({ limits: ['memoryBytes'], runtimes: ['sh', 'runc'] });
  expect((await describeEngine(engine(info), socketPath)).limits).toEqual(['memoryBytes', 'pids']);
});
