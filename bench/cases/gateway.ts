import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { RunnerClient } from '../../src/core/ports/runner.ts';
import { environmentCredentials } from '../../src/gateway/credentials/environment.ts';
import { createPublicDial } from '../../src/gateway/egress/public-dial.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import { gatewayPort } from '../../src/protocol/runner-api.ts';
import { silent, soon } from '../host.ts';
import { quantile } from '../measure.ts';
import type { Row } from '../table.ts';
import type { BenchCase } from './case.ts';

const folder = join(import.meta.dirname, '../gateway');
const session = 'ses_bench';
const goalMs = 5;
const mebibyte = 2 ** 20;
const run = promisify(execFile);

/** What the client in `bench/gateway/client.mjs` is to do. */
interface Ask {
  host: string;
  port: number;
  path: string;
  headers: Record<string, string>;
  /** `host:port` to ask the proxy for first. */
  tunnelTo: string | null;
  /** A connection for each request. */
  fresh: boolean;
}

/**
 * What the way out of a sandbox costs: one client program in a sandbox, through the runner, its channel and the gateway to an
 * upstream on this machine, and the same program beside it, connected to the same upstream. In blocks, in turn.
 */
export const gateway: BenchCase = {
  name: 'gateway',
  needsDocker: false,
  async run({ host, quick, say }) {
    const id = host.nextId();
    const runner = await host.create(id);
    const upstream = await startUpstream();
    const { port } = upstream;
    const key = 'sk-bench';
    const opened = createGateway({
      credentials: { find: async (_sessionId, api) => environmentCredentials({ anthropic: { baseUrl: `http://127.0.0.1:${port}`, apiKey: key } })(api) },
      placeholderSecret: 'bench',
      egress: {
        control: { judge: async () => ({ allowed: true, reason: 'bench' }), record: () => {} },
        dial: createPublicDial({ allowLoopback: true }),
      },
      logger: silent,
    });
    try {
      const attachment = opened.attach(session, await runner.openGatewayChannel(gatewayPort, soon()));
      const program = await readFile(join(folder, 'client.mjs'), 'utf8');
      const headers = { 'content-type': 'application/json', 'x-api-key': opened.placeholderKey(session) };
      const direct: Ask = { host: '127.0.0.1', port, path: '/v1/messages', headers, tunnelTo: null, fresh: false };
      const model: Ask = { ...direct, port: gatewayPort, path: '/anthropic/v1/messages' };
      const egress: Ask = { ...direct, port: gatewayPort, tunnelTo: `127.0.0.1:${port}` };
      const inside = (ask: Ask, warmUp: number, rounds: number) => askInside(runner, program, { ...ask, warmUp, rounds });
      const outside = (ask: Ask, warmUp: number, rounds: number) => askOutside({ ...ask, warmUp, rounds });

      const rows: Row[] = [];
      const blocks = quick ? 2 : 6;
      const rounds = quick ? 100 : 300;
      for (const [what, through, fresh] of [
        ['model call on a kept connection', model, false],
        ['request through an open tunnel', egress, false],
        ['new tunnel and a request', egress, true],
      ] as const) {
        say(`gateway: ${what}`);
        const times = { through: [] as number[], direct: [] as number[] };
        for (let block = 0; block < blocks; block += 1) {
          const each: (() => Promise<unknown>)[] = [
            async () => times.through.push(...(await inside({ ...through, fresh }, 30, rounds))),
            async () => times.direct.push(...(await outside({ ...direct, fresh }, 30, rounds))),
          ];
          for (const measure of block % 2 === 0 ? each : each.toReversed()) await measure();
        }
        rows.push(addedRow(`gateway: ${what}`, times));
      }
      for (const [what, through] of [
        ['model answer, bytes a second', model],
        ['tunnel, bytes a second', egress],
      ] as const) {
        say(`gateway: ${what}`);
        const sizeBytes = (quick ? 16 : 128) * mebibyte;
        const sized = (ask: Ask): Ask => ({ ...ask, path: `${ask.path}?bytes=${sizeBytes}` });
        const times = { through: [] as number[], direct: [] as number[] };
        for (let block = 0; block < (quick ? 1 : 3); block += 1) {
          times.through.push(...(await inside(sized(through), 1, 2)));
          times.direct.push(...(await outside(sized(direct), 1, 2)));
        }
        rows.push(throughputRow(`gateway: ${what}`, sizeBytes, times));
      }
      attachment.close();
      return rows;
    } finally {
      opened.close();
      runner.close();
      upstream.child.kill();
      await host.destroy(id);
    }
  },
};

interface Times {
  through: readonly number[];
  direct: readonly number[];
}

/** What is added at the median and at the 99th percentile; the goal is for both. */
function addedRow(what: string, { through, direct }: Times): Row {
  const at = (q: number) => quantile(through, q) - quantile(direct, q);
  const pair = (times: readonly number[]) => `${quantile(times, 0.5).toFixed(2)} ms (p99 ${quantile(times, 0.99).toFixed(2)})`;
  return {
    what,
    berth: pair(through),
    against: 'a direct connection',
    other: pair(direct),
    ratio: `+${at(0.5).toFixed(2)} ms (p99 +${at(0.99).toFixed(2)})`,
    goal: `< +${goalMs} ms`,
    met: at(0.5) < goalMs && at(0.99) < goalMs ? 'yes' : 'no',
  };
}

function throughputRow(what: string, sizeBytes: number, { through, direct }: Times): Row {
  const rate = (times: readonly number[]) => sizeBytes / 1e6 / (quantile(times, 0.5) / 1000);
  return {
    what,
    berth: `${rate(through).toFixed(0)} MB/s`,
    against: 'a direct connection',
    other: `${rate(direct).toFixed(0)} MB/s`,
    ratio: `${(rate(through) / rate(direct)).toFixed(2)}x`,
    goal: '-',
    met: '-',
  };
}

async function askInside(runner: RunnerClient, program: string, ask: object): Promise<number[]> {
  const argv = ['/berth/runner/bin/node', '--input-type=module', '-e', program, 'ask', JSON.stringify(ask)];
  const { exitCode, stdout, stderr } = await runner.exec({ argv, timeoutMs: 120_000 }, soon());
  if (exitCode !== 0) throw new Error(`the client in the sandbox failed: ${Buffer.from(stderr).toString()}`);
  return JSON.parse(Buffer.from(stdout).toString()) as number[];
}

async function askOutside(ask: object): Promise<number[]> {
  const { stdout } = await run(process.execPath, [join(folder, 'client.mjs'), JSON.stringify(ask)]);
  return JSON.parse(stdout) as number[];
}

async function startUpstream(): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(folder, 'upstream.ts')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, port: Number(line.toString()) };
}
