import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AgentDefinition } from '../core/ports/agent.ts';
import type { Logger } from '../core/ports/logger.ts';
import { createAgentInstaller } from './installer.ts';
import { npmEnvironment } from './npm.ts';

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const env = { PATH: '/usr/bin:/bin' };
const never = new AbortController().signal;
const agent: AgentDefinition = {
  name: 'sample',
  title: 'Sample',
  packages: [{ name: '@scope/sample', version: '1.2.3' }],
  model: 'none',
  launch: ({ layerPath, nodePath }) => ({
    argv: [nodePath, `${layerPath}/node_modules/@scope/sample/index.js`],
    env: {},
    files: [],
    defaultModeId: null,
    config: {},
  }),
};

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-agents-'));
  dir = join(root, 'agents');
});
afterEach(async () => rm(root, { recursive: true }));

/** A stand-in for the registry's side only: a program that does with the folder what npm would. */
async function npm(script: string): Promise<string[]> {
  const path = join(root, 'npm.sh');
  await writeFile(path, `#!/bin/sh\necho run >> ${root}/runs\n${script}\n`);
  await chmod(path, 0o755);
  return [path];
}

const installs = `
  mkdir -p node_modules/@scope/sample
  echo '{"version":"1.2.3"}' > node_modules/@scope/sample/package.json
  echo x > node_modules/@scope/sample/index.js`;

test('concurrent callers share one install; afterwards the layer is just there', async () => {
  const installer = createAgentInstaller({ dir, npmCommand: await npm(installs), env, logger: quiet });
  const progress: string[] = [];
  const paths = await Promise.all([
    installer.ensure(agent, (message) => progress.push(message), never),
    installer.ensure(agent, () => {}, never),
  ]);
  expect(await installer.isInstalled(agent)).toBe(true);
  expect(paths).toEqual(['/berth/agents/sample-1.2.3', '/berth/agents/sample-1.2.3']);
  expect(await installer.ensure(agent, () => {}, never)).toBe(paths[0]);
  expect(await readFile(join(root, 'runs'), 'utf8')).toBe('run\n');
  expect(progress[0]).toBe('installing Sample 1.2.3 from the npm registry');
  expect(await readdir(dir)).toEqual(['sample-1.2.3']);
  expect((await stat(join(dir, 'sample-1.2.3'))).mode & 0o777).toBe(0o755);
  expect((await stat(join(dir, 'sample-1.2.3/node_modules/@scope/sample/index.js'))).mode & 0o777).toBe(0o644);
});

test("two installers on one folder do not get in each other's way", async () => {
  const npmCommand = await npm(`sleep 0.2; ${installs}`);
  const installers = [1, 2].map(() => createAgentInstaller({ dir, npmCommand, env, logger: quiet }));
  await Promise.allSettled(installers.map((installer) => installer.ensure(agent, () => {}, never)));
  expect(await readdir(dir)).toEqual(['sample-1.2.3']);
});

describe('a failed install leaves nothing', () => {
  test.each([
    ['npm fails', 'echo "npm error code E404" >&2; exit 1', 'upstream_failed', /E404/],
    ['npm is missing', 'exit 127', 'unavailable', /npm is not installed/],
    [
      'the version differs',
      `${installs}; echo '{"version":"9.9.9"}' > node_modules/@scope/sample/package.json`,
      'upstream_failed',
      /9\.9\.9/,
    ],
    [
      'a platform package was left out',
      `${installs}; rm node_modules/@scope/sample/index.js`,
      'upstream_failed',
      /left out/,
    ],
  ])('%s', async (_what, script, code, message) => {
    const installer = createAgentInstaller({ dir, npmCommand: await npm(script), env, logger: quiet });
    const failure = installer.ensure(agent, () => {}, never);
    await expect(failure).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await readdir(dir)).toEqual([]);
  });

  test('an abort ends npm with its children', async () => {
    const installer = createAgentInstaller({
      dir,
      npmCommand: await npm(`(sleep 60) & echo $! > ${root}/pid; wait`),
      env,
      logger: quiet,
    });
    const controller = new AbortController();
    const failure = installer.ensure(agent, () => {}, controller.signal);
    await expect.poll(() => readFile(join(root, 'pid'), 'utf8').catch(() => '')).not.toBe('');
    controller.abort();
    await expect(failure).rejects.toThrow('aborted');
    await expect.poll(() => readdir(dir)).toEqual([]);
    const pid = Number(await readFile(join(root, 'pid'), 'utf8'));
    // Gone, or a zombie that its new parent has yet to collect.
    const state = () =>
      readFile(`/proc/${pid}/stat`, 'utf8').then(
        (stat) => stat.split(') ')[1]?.[0],
        () => 'gone',
      );
    await expect.poll(state).toMatch(/^(?:Z|gone)$/);
  });

  test('what a killed install left is removed by the next', async () => {
    await mkdir(join(dir, '.sample-1.2.3.installing-dead/x'), { recursive: true });
    await writeFile(join(dir, '.sample-1.2.3.lock'), '999999999');
    const installer = createAgentInstaller({ dir, npmCommand: await npm(installs), env, logger: quiet });
    await installer.ensure(agent, () => {}, never);
    expect(await readdir(dir)).toEqual(['sample-1.2.3']);
  });
});

test('an agent without packages needs no layer', async () => {
  const installer = createAgentInstaller({ dir, npmCommand: ['/nonexistent'], env, logger: quiet });
  expect(await installer.ensure({ ...agent, packages: [] }, () => {}, never)).toBe('/berth/agents');
});

test('npm gets no secret of the server', () => {
  const env = npmEnvironment({
    PATH: '/bin',
    ANTHROPIC_API_KEY: 'x',
    npm_config_registry: 'r',
    HTTPS_PROXY: 'p',
    GITHUB_TOKEN: 'y',
  });
  expect(env).toEqual({ PATH: '/bin', npm_config_registry: 'r', HTTPS_PROXY: 'p' });
});
