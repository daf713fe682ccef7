import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { placeSmallTemplate, smallTemplate } from '../../src/sandbox/microvm/small-template.fixture.ts';
import { privateMemory } from '../../src/sandbox/providers/_shared/cgroup.ts';
import { mustRun } from '../../src/sandbox/run-command.ts';
import { openCore } from '../core.ts';
import { startContainer, type Docker, type NoDocker } from '../docker.ts';
import { openHost, soon, type BenchHost, type HostChoice } from '../host.ts';
import { compare, comparePairs, quantile, ratioOf, timed, type Contender, type Pair, type Rounds, type Sample } from '../measure.ts';
import { startRawMachine, type RawMachine } from '../raw-machine.ts';
import { megabytes, milliseconds, renderGrid } from '../table.ts';
import { commandContender } from './case.ts';
import { createOnce, plainContender } from './cold-create.ts';
import { createWithWorkspace, forkOnce } from './fork.ts';
import { berthHibernation, runcHibernation } from './hibernate.ts';
import { idleMs } from './idle-memory.ts';
import { berthPause, dockerPause, runcPause } from './pause.ts';
import { claimOnce, oneWarm, runTrue, untilWarm } from './warm-claim.ts';

export const localProviders = ['oci/runc', 'oci/crun', 'oci/gVisor', 'docker', 'qemu'] as const;
export type LocalProvider = (typeof localProviders)[number];
const plainOnes = ['`runc`', '`docker`', '`qemu`'] as const;
type Plain = (typeof plainOnes)[number];
/** What each is compared with: the same kind of thing without Berth. */
const plainOf: Record<LocalProvider, Plain> = { 'oci/runc': '`runc`', 'oci/crun': '`runc`', 'oci/gVisor': '`runc`', docker: '`docker`', qemu: '`qemu`' };

interface Context {
  docker: Docker | NoDocker;
  quick: boolean;
  say: (line: string) => void;
  only: readonly LocalProvider[];
}

/** A provider that runs here, with the sandbox that is measured. */
interface Subject {
  name: LocalProvider;
  choice: HostChoice;
  host: BenchHost;
  id: string;
}

/** Columns by name; `null` where there is no such operation. */
type Line = { what: string; cells: Map<string, string> };

/**
 * The same table for every local provider in one run. All sandboxes have one template, a shell and its tools, and the same
 * limits where the provider has them. For each operation all providers and their plain counterparts are measured in turn.
 */
export async function compareProviders({ docker, quick, say, only }: Context): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'berth-bench-plain-'));
  const subjects: Subject[] = [];
  const absent = new Map<string, string>();
  let machine: RawMachine | null = null;
  try {
    for (const name of only) {
      say(`providers: preparing ${name}`);
      try {
        subjects.push(await openSubject(name, docker));
      } catch (error) {
        absent.set(name, String(error instanceof Error ? error.message : error));
      }
    }
    const counterparts = new Set(subjects.map(({ name }) => plainOf[name]));
    const runc = subjects.find(({ name }) => name === 'oci/runc');
    if (counterparts.has('`qemu`')) machine = await startRawMachine(directory);
    if (counterparts.has('`docker`') && 'argv' in docker) await startContainer(docker, 'providers');
    const plain = { runc: runc ?? null, docker: 'argv' in docker && counterparts.has('`docker`') ? docker : null, machine, directory };
    const lines: Line[] = [];
    for (const [what, measure] of Object.entries(operations)) {
      say(`providers: ${what}`);
      lines.push(...(await measure({ subjects, plain, quick })));
    }
    return render(lines, subjects, absent, plain);
  } finally {
    await machine?.end();
    for (const { host } of subjects) await host.remove();
    await rm(directory, { recursive: true, force: true });
  }
}

async function openSubject(name: LocalProvider, docker: Docker | NoDocker): Promise<Subject> {
  const choice = { ...choiceOf(name, docker), template: smallTemplate, placeTemplates: placeSmallTemplate };
  const host = await openHost(choice);
  try {
    const id = host.nextId();
    (await host.create(id)).close();
    return { name, choice, host, id };
  } catch (error) {
    await host.remove();
    throw error;
  }
}

function choiceOf(name: LocalProvider, docker: Docker | NoDocker): HostChoice {
  switch (name) {
    case 'oci/runc':
    case 'oci/crun':
      return { provider: 'oci', options: { runtime: name.slice('oci/'.length) } };
    case 'oci/gVisor':
      return { provider: 'oci', options: { runtime: 'runsc' } };
    case 'docker':
      if ('reason' in docker) throw new Error(docker.reason);
      return { provider: 'docker', options: { socketPath: docker.socketPath } };
    case 'qemu':
      return { provider: 'qemu', options: {} };
  }
}

interface PlainThings {
  /** Whose sandbox the plain runtime works on, and is started like. */
  runc: Subject | null;
  docker: Docker | null;
  machine: RawMachine | null;
  directory: string;
}

interface Measuring {
  subjects: readonly Subject[];
  plain: PlainThings;
  quick: boolean;
}

const refused = 'unsupported';

const operations: Record<string, (measuring: Measuring) => Promise<Line[]>> = {
  create: measureCreate,
  claim: measureClaim,
  exec: measureExec,
  pause: measurePause,
  hibernate: measureHibernate,
  fork: measureFork,
  memory: measureMemory,
};

async function measureCreate({ subjects, plain, quick }: Measuring): Promise<Line[]> {
  const contenders: Contender[] = subjects.map(({ name, host }) => ({ name, measureMs: () => createOnce(host) }));
  if (plain.runc !== null) {
    await mkdir(join(plain.directory, 'bundles'));
    contenders.push(await plainContender('`runc`', plain.runc.host, plain.runc.id, join(plain.directory, 'bundles'), ['true']));
  }
  if (plain.docker !== null) {
    const { argv, confined, image } = plain.docker;
    contenders.push(commandContender('`docker`', [...argv, 'run', '--rm', ...confined, image, 'true']));
  }
  const { machine } = plain;
  if (machine !== null) contenders.push({ name: '`qemu`', measureMs: () => timed(() => machine.boot()) });
  return [durations('cold create, to the first command done', await compare(contenders, { warmUp: 1, rounds: quick ? 3 : 15, pauseMs: 100 }))];
}

/** One core after the other: each makes the next warm sandbox behind the measurement, which would fall on another's. */
async function measureClaim({ subjects, quick }: Measuring): Promise<Line[]> {
  const cells = new Map<string, string>();
  for (const { name, choice, host } of subjects) {
    if (host.provider.capabilities.update === 'none') cells.set(name, refused);
    else cells.set(name, milliseconds((await claims(choice, quick)).medianMs));
  }
  return [{ what: 'warm claim, to the first command done', cells }];
}

/** On a host of its own, as a core destroys the sandboxes that it does not know; with the default template, as sessions want a git. */
async function claims({ provider, options }: HostChoice, quick: boolean): Promise<Sample> {
  const host = await openHost({ provider, options });
  const bench = await openCore(host, oneWarm);
  try {
    const first = await bench.core.sessions.create({ agent: 'shell', permissions: 'allow' }, 'bench', soon());
    await untilWarm(bench.core);
    await runTrue(bench.core, first.id);
    const contender = { name: 'claim', measureMs: () => claimOnce(bench.core) };
    const samples = await compare([contender], { warmUp: 1, rounds: quick ? 4 : 20, pauseMs: 50 });
    const { cold } = (await bench.core.pool.overview()).claims;
    if (cold > 0) throw new Error(`${cold} of the claims found nothing warm`);
    return samples.get('claim')!;
  } finally {
    await bench.core.close();
    for (const { id } of await host.provider.list({ signal: soon() })) await host.destroy(id);
    await bench.close();
    await host.remove();
  }
}

async function measureExec({ subjects, plain, quick }: Measuring): Promise<Line[]> {
  const runners = await Promise.all(subjects.map(async ({ name, host, id }) => ({ name, runner: await host.connect(id) })));
  try {
    const contenders: Contender[] = runners.map(({ name, runner }) => ({ name, measureMs: () => timed(() => runner.exec({ argv: ['true'] }, soon())) }));
    if (plain.runc !== null) contenders.push(commandContender('`runc`', ['runc', '--root', plain.runc.host.runtimeRoot, 'exec', plain.runc.id, 'true']));
    if (plain.docker !== null) contenders.push(commandContender('`docker`', [...plain.docker.argv, 'exec', 'providers', 'true']));
    return [durations('a command in a running sandbox', await compare(contenders, { warmUp: 2, rounds: quick ? 10 : 50, pauseMs: 0 }))];
  } finally {
    for (const { runner } of runners) runner.close();
  }
}

async function measurePause({ subjects, plain, quick }: Measuring): Promise<Line[]> {
  const pairs: Pair[] = subjects.map(({ name, host, id }) => ({ name, ...berthPause(host, id) }));
  if (plain.runc !== null) pairs.push({ name: '`runc`', ...runcPause(plain.runc.host, plain.runc.id) });
  if (plain.docker !== null) pairs.push({ name: '`docker`', ...dockerPause(plain.docker, 'providers') });
  if (plain.machine !== null) pairs.push({ name: '`qemu`', ...plain.machine.pause });
  return halves(['pause', 'resume, to the runner answering'], pairs, { warmUp: 1, rounds: quick ? 5 : 25, pauseMs: 10 });
}

async function measureHibernate({ subjects, plain, quick }: Measuring): Promise<Line[]> {
  const able = subjects.filter(({ host }) => host.provider.capabilities.hibernate !== 'none');
  const pairs: Pair[] = able.map(({ name, host, id }) => ({ name, ...berthHibernation(host, id) }));
  const own = able.find((subject) => subject === plain.runc);
  const other = own?.host.nextId() ?? null;
  if (own !== undefined && other !== null) {
    (await own.host.create(other)).close();
    pairs.push({ name: '`runc`', ...runcHibernation(own.host, other) });
  }
  if (plain.machine !== null) pairs.push({ name: '`qemu`', ...plain.machine.hibernation });
  // The plain runtime uses what Berth makes at its first.
  for (const { first, second } of pairs.slice(0, able.length)) {
    await first();
    await second();
  }
  const lines = await halves(['hibernate', 'wake, to the runner answering'], pairs, { warmUp: 0, rounds: quick ? 2 : 8, pauseMs: 200 });
  if (own !== undefined && other !== null) await own.host.destroy(other);
  for (const { cells } of lines) for (const { name } of subjects) if (!cells.has(name)) cells.set(name, refused);
  return lines;
}

const workspaceBytes = 64 * 2 ** 20;

async function measureFork({ subjects, quick }: Measuring): Promise<Line[]> {
  const able = subjects.filter(({ host }) => host.provider.capabilities.fork !== 'none');
  const sources = new Map(able.map((subject) => [subject, subject.host.nextId()]));
  for (const [{ host }, id] of sources) await createWithWorkspace(host, id, workspaceBytes);
  const contenders = [...sources].map(([{ name, host }, id]) => ({ name, measureMs: () => forkOnce(host, id) }));
  const line = durations('fork with a workspace of 64 MiB, to the runner answering', await compare(contenders, { warmUp: 0, rounds: quick ? 2 : 8, pauseMs: 100 }));
  for (const [{ host }, id] of sources) await host.destroy(id);
  for (const { name } of subjects) if (!line.cells.has(name)) line.cells.set(name, refused);
  return [line];
}

/** What ending an idle sandbox would free; of a machine, what QEMU itself has. */
async function measureMemory({ subjects, plain }: Measuring): Promise<Line[]> {
  await sleep(idleMs);
  const bytes = new Map<string, number>();
  for (const { name, host, id } of subjects) bytes.set(name, (await host.provider.stats(id, { signal: soon() })).privateMemoryBytes ?? Number.NaN);
  if (plain.machine !== null) bytes.set('`qemu`', await privateMemory([plain.machine.process()]));
  if (plain.docker !== null) {
    const [program, ...args] = plain.docker.argv;
    bytes.set('`docker`', await privateMemory([Number(await mustRun(program, [...args, 'inspect', '--format={{.State.Pid}}', 'providers']))]));
  }
  return [{ what: 'private memory, idle', cells: new Map([...bytes].map(([name, each]) => [name, megabytes(each)])) }];
}

async function halves([first, second]: readonly [string, string], pairs: readonly Pair[], rounds: Rounds): Promise<Line[]> {
  const samples = await comparePairs(pairs, rounds);
  return [durations(first, samples.first), durations(second, samples.second)];
}

function durations(what: string, samples: ReadonlyMap<string, Sample>): Line {
  const cell = (name: string, sample: Sample) =>
    withRatio(name, milliseconds(quantile(sample.timesMs, 0.5)), (against) => (samples.has(against) ? ratioOf(sample, samples.get(against)!) : Number.NaN));
  return { what, cells: new Map([...samples].map(([name, sample]) => [name, cell(name, sample)])) };
}

/** With how it relates to its plain counterpart, where that was measured. */
function withRatio(name: string, figure: string, ratioTo: (against: string) => number): string {
  const against = plainOf[name as LocalProvider] as Plain | undefined;
  const ratio = against === undefined ? Number.NaN : ratioTo(against);
  return Number.isNaN(ratio) ? figure : `${figure} (${ratio.toFixed(2)}x)`;
}

function render(lines: readonly Line[], subjects: readonly Subject[], absent: ReadonlyMap<string, string>, plain: PlainThings): string {
  const plainNames = plainOnes.filter((name) => (name === '`runc`' ? plain.runc : name === '`docker`' ? plain.docker : plain.machine) !== null);
  const columns = [...subjects.map(({ name }) => name), ...plainNames];
  const grid = renderGrid([['what', ...columns], ...lines.map(({ what, cells }) => [what, ...columns.map((name) => cells.get(name) ?? '-')])]);
  const notes = [...absent].map(([name, why]) => `- ${name} does not run here: ${why}`);
  return [grid, '', 'In brackets: against the plain one of its kind in the same run.', ...notes].join('\n');
}
