import { parseArgs } from 'node:util';
import { clone } from './cases/clone.ts';
import { coldCreate } from './cases/cold-create.ts';
import { exec } from './cases/exec.ts';
import { gateway } from './cases/gateway.ts';
import { fork } from './cases/fork.ts';
import { hibernate } from './cases/hibernate.ts';
import { idleMemory } from './cases/idle-memory.ts';
import { compareProviders, localProviders } from './cases/providers.ts';
import { compareWithV2 } from './cases/providers-with-v2.ts';
import { queue } from './cases/queue.ts';
import { pause } from './cases/pause.ts';
import { wakeToEvent } from './cases/wake-to-event.ts';
import { warmClaim } from './cases/warm-claim.ts';
import { sleepers } from './cases/sleepers.ts';
import { web } from './cases/web.ts';
import { startDocker } from './docker.ts';
import { openHost } from './host.ts';
import { describeMachine } from './machine.ts';
import { renderTable, type Row } from './table.ts';

/** Every figure in docs/benchmarks.md comes from this command. Needs root; see there. */
const cases = [coldCreate, warmClaim, exec, pause, hibernate, wakeToEvent, fork, clone, queue, idleMemory, sleepers, gateway, web];

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    provider: { type: 'string', multiple: true },
  },
});
const names = [...cases.map(({ name }) => name), 'providers'];
refuseUnknown('case', values.only ?? [], names);
refuseUnknown('provider', values.provider ?? [], localProviders);
const wanted = (name: string) => values.only === undefined || values.only.includes(name);
const chosen = cases.filter(({ name }) => wanted(name));
const only = localProviders.filter((name) => values.provider === undefined || values.provider.includes(name));
const say = (line: string) => void process.stderr.write(`bench: ${Math.round(performance.now() / 1000)} s: ${line}\n`);

const needsDocker = chosen.some((each) => each.needsDocker) || (wanted('providers') && only.includes('docker'));
const docker = needsDocker ? await startDocker() : { reason: 'not needed' };
try {
  process.stdout.write(`${await describeMachine()}\n`);
  if (chosen.length > 0) process.stdout.write(`\n${renderTable(await rowsOf())}\n`);
  if (wanted('providers')) {
    process.stdout.write(`\n${await compareProviders({ docker, quick: values.quick, say, only })}\n`);
    const more = only.includes('oci/crun') ? await compareWithV2(import.meta.filename, values.quick) : null;
    if (more !== null) process.stdout.write(`\n${more}\n`);
  }
} finally {
  if ('remove' in docker) await docker.remove();
}

async function rowsOf(): Promise<Row[]> {
  const host = await openHost();
  try {
    const rows: Row[] = [];
    for (const each of chosen) rows.push(...(await each.run({ host, docker, quick: values.quick, say })));
    return rows;
  } finally {
    await host.remove();
  }
}

function refuseUnknown(what: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  process.stderr.write(`bench: no ${what} ${unknown.join(', ')}; there are ${known.join(', ')}\n`);
  process.exit(2);
}
