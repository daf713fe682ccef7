import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../../src/sandbox/run-command.ts';
import { asksFor } from '../conformance/asks-for.ts';
import type { TestEngine } from '../fixtures/engine-process.ts';
import { startPodman } from '../fixtures/podman.ts';
import { startRemappedDockerd, startRootlessDockerd, startRootlessPodman } from '../fixtures/rootless/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { runTurn, scriptedSession } from './scripted.ts';

const [podman, rootless] = [asksFor('podman'), asksFor('rootless')];
const engines = [
  ['Podman', startPodman, podman],
  ['rootless Podman', startRootlessPodman, rootless],
  ['rootless Docker', startRootlessDockerd, rootless],
  ['Docker with userns-remap', startRemappedDockerd, rootless],
] as const;
if (!podman || !rootless) process.stdout.write('skipped: a session on other engines than Docker, for want of BERTH_TEST_PROVIDERS=podman,rootless (make test-engines)\n');

describe.each(engines)('a session on %s', (_name, startEngine, wanted) => void describe.skipIf(!wanted)('the engine', () => {
  let engine: TestEngine;
  let installation: TestInstallation;
  let server: TestServer;

  beforeAll(async () => {
    engine = await startEngine();
    installation = await createInstallation({ BERTH_PROVIDERS: 'docker', BERTH_DOCKER_HOST: `unix://${engine.socketPath}` });
    server = await installation.start();
  });

  afterAll(async () => {
    try {
      await installation.remove();
      expect(await new Docker({ socketPath: engine.socketPath }).listContainers({ all: true })).toEqual([]);
    } finally {
      await engine.stop();
    }
  });

  test('does turns over a kill of the server and a stop, and the engine sees nothing else of Berth', async () => {
    const { id } = await scriptedSession(server.client);
    const say = async (what: string) => {
      const { turn, text } = await runTurn(server.client, id, `say ${what}`);
      return [turn.state, text.trim()];
    };
    expect(await say('first')).toEqual(['completed', 'first']);
    await server.kill();
    server = await installation.start();
    expect(await say('second')).toEqual(['completed', 'second']);
    await server.client.sessions.rest(id, 'stop');
    expect(await say('third')).toEqual(['completed', 'third']);

    const { uid, gid } = await stat(engine.socketPath);
    if (uid === 0) return;
    for (const name of ['', 'storage', 'owner-token', 'berth.db']) {
      const path = join(installation.dataDir, name);
      const { exitCode } = await runCommand('setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', 'test', '-r', path]);
      expect(exitCode, name).toBe(1);
    }
  });
}));
