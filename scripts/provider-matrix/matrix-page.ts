import type { SandboxCapabilities } from '../../src/core/ports/sandbox-provider.ts';
import { newestOf, type MergedCase, type MergedSuite } from './merge-outcomes.ts';

interface Column {
  provider: string;
  title: string;
  /** Why it may be empty. */
  absent: string;
}

const columns: readonly Column[] = [
  { provider: 'oci', title: 'oci, runc', absent: 'its suites run in every test run' },
  { provider: 'oci/crun', title: 'oci, crun (v2 view)', absent: '`make test-crun` runs it' },
  { provider: 'oci/gVisor', title: 'oci, gVisor', absent: '`make test-gvisor` runs it' },
  { provider: 'docker', title: 'docker', absent: 'its suites run in every test run' },
  { provider: 'docker/Podman', title: 'docker, Podman', absent: '`make test-engines` runs it' },
  { provider: 'docker/rootless', title: 'docker, rootless', absent: '`make test-engines` runs it' },
  { provider: 'docker/rootless-Podman', title: 'docker, rootless Podman', absent: '`make test-engines` runs it' },
  { provider: 'docker/userns-remap', title: 'docker, userns-remap', absent: '`make test-engines` runs it' },
  { provider: 'docker/gVisor', title: 'docker, gVisor', absent: '`make test-engines` runs it' },
  { provider: 'qemu', title: 'qemu', absent: 'its suites run in every test run where QEMU is installed' },
  { provider: 'firecracker', title: 'firecracker', absent: 'its suites need KVM; the contract server stands for it' },
  { provider: 'firecracker/contract', title: 'firecracker (contract server)', absent: 'its suites run in every test run' },
];

/** Others, such as a driver that is being written, have no place in the table. */
export const hasColumn = ({ provider }: Pick<MergedSuite, 'provider'>): boolean => columns.some((column) => column.provider === provider);

const suiteTitles: Record<string, string> = { provider: 'Lifecycle, limits and what is inside', persistence: 'Pause, hibernate, snapshot, fork', network: 'Full network', failures: 'Failures of what it stands on' };

const capabilityNames: readonly (keyof SandboxCapabilities)[] = ['isolation', 'pause', 'hibernate', 'snapshot', 'fork', 'update', 'limits', 'network', 'ports', 'sharedObjects'];

/** The whole page, from what was merged. `current`: the suites' cases of today, each of which has a row. */
export function matrixPage(merged: readonly MergedSuite[], current: Record<string, readonly string[]>): string {
  const ran = columns.filter(({ provider }) => merged.some((each) => each.provider === provider));
  const of = (suite: string, { provider }: Column) => merged.find((each) => each.suite === suite && each.provider === provider);
  const any = (column: Column) => Object.keys(current).flatMap((suite) => of(suite, column) ?? []);
  /** The most that its suites were given: that of the network runs with what the others do without. */
  const capabilities = (column: Column) => any(column).reduce((all, each) => ({ ...all, ...each.capabilities }), {} as Partial<SandboxCapabilities>);

  const runs = columns.map((column) => {
    const suites = any(column);
    const cases = suites.flatMap((each) => each.cases);
    if (cases.length === 0) return row([column.title, 'not run', '', column.absent, '']);
    const newest = suites.map(newestOf).toSorted().at(-1)!;
    const ranOn = suites.find((each) => each.ranOn.length > 0)?.ranOn.join(', ');
    const count = (outcome: MergedCase['outcome']) => cases.filter((each) => each.outcome === outcome).length;
    const missing = Object.values(current).flat().length - cases.length;
    const rest = [`${count('failed')} failed`, `${count('not on the contract')} not on the contract`, `${missing + count('skipped')} not run`].filter((text) => !text.startsWith('0 '));
    return row([column.title, `${count('passed')} green, ${count('refused')} refused`, rest.join(', '), ranOn ?? 'not told', newest.slice(0, 10)]);
  });

  const known = capabilityNames.map((name) =>
    row([`\`${name}\``, ...ran.map((column) => worded(capabilities(column)[name]))]),
  );

  const suites = Object.entries(current).flatMap(([suite, names]) => [
    `## ${suiteTitles[suite] ?? suite}`,
    '',
    ...table(
      ['case', ...ran.map(({ title }) => title)],
      names.map((name) => row([escaped(name), ...ran.map((column) => cell(of(suite, column)?.cases.find((each) => each.name === name)))])),
    ),
    '',
  ]);

  return [
    '# Which provider does what',
    '',
    '<!-- Written by scripts/provider-matrix.ts from what the conformance suites found. Not by hand: a test compares. -->',
    '',
    'One contract ([`sandbox-provider.ts`](../../src/core/ports/sandbox-provider.ts)), its suites in `test/conformance/`, each run on the real',
    'backend. **green**: the case passed. **refused**: the provider declares that it lacks what is named, and the case saw it refuse with `unsupported`.',
    '**failed**: it does not do what the contract says. **-**: no run yet. After runs of the suites, `make provider-matrix` writes this page anew.',
    '',
    '`firecracker (contract server)` **has not run on hardware**: the driver is real, and so is the runner at the end of its lines; what it drives is a',
    'server that holds it to the published description of Firecracker, with processes of the host for a guest ([firecracker.md](firecracker.md)).',
    '**not on the contract**: the case would tell something of that stand-in alone, named after it, and was not run.',
    '',
    ...table(['provider', 'cases', '', 'ran on', 'last run'], runs),
    '',
    '## Capabilities',
    '',
    ...table(['', ...ran.map(({ title }) => title)], known),
    '',
    ...suites,
  ].join('\n');
}

function cell(outcome: MergedCase | undefined): string {
  if (outcome === undefined || outcome.outcome === 'skipped') return '-';
  if (outcome.outcome === 'passed') return 'green';
  return outcome.outcome === 'failed' ? '**failed**' : `${outcome.outcome}: ${outcome.lacks}`;
}

function worded(value: string | readonly string[] | undefined): string {
  if (value === undefined) return '-';
  return typeof value === 'string' ? value : value.join(', ') || 'none';
}

const escaped = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly string[]) => [row(head), row(head.map(() => '---')), ...rows];
