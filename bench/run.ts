import { parseArgs } from 'node:util';
import { clone } from './cases/clone.ts';
import { coldCreate } from './cases/cold-create.ts';
import { exec } from './cases/exec.ts';
import { gateway } from './cases/gateway.ts';
import { fork } from './cases/fork.ts';
import { hibernate } from './cases/hibernate.ts';
import { idleMemory } from './cases/idle-memory.ts';
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
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string', multiple: true } },
});
const unknown = (values.only ?? []).filter((name) => !cases.some((each) => each.name === name));
if (unknown.length > 0) {
  process.stderr.write(`bench: no case ${unknown.join(', ')}; there are ${cases.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}
const chosen = cases.filter(({ name }) => values.only === undefined || values.only.includes(name));
const say = (line: string) => void process.stderr.write(`bench: ${line}\n`);

const host = await openHost();
const docker = chosen.some(({ needsDocker }) => needsDocker) ? await startDocker() : { reason: 'not needed' };
try {
  const rows: Row[] = [];
  for (const each of chosen) rows.push(...(await each.run({ host, docker, quick: values.quick, say })));
  process.stdout.write(`${await describeMachine()}\n\n${renderTable(rows)}\n`);
} finally {
  if ('remove' in docker) await docker.remove();
  await host.remove();
}
