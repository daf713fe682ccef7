import type { Command } from 'commander';
import { BerthError, type Host, type SandboxUsage, type Session, type Turn } from '../../sdk/index.ts';
import { action, type CliContext } from '../context.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { describeStatus } from '../render/status.ts';
import { formatAge, formatBytes, formatDuration } from '../render/units.ts';
import { paintStatus } from './ls.ts';

/** Turns that are listed. */
const shownTurns = 10;

export function register(program: Command): void {
  program
    .command('show')
    .summary('show one session and its turns')
    .description('Show one session and its latest turns.')
    .argument('<session>', 'session id')
    .action(
      action(async (context, { argument: [id = ''] }) => {
        const client = await context.client();
        const [session, turns, hosts] = await Promise.all([
          client.sessions.get(id),
          client.sessions.turns(id),
          client.hosts.list(),
        ]);
        const host = hosts.find((each) => each.id === session.hostId) ?? null;
        const usage = session.sandboxId === null || host?.live === false ? null : await client.sessions.usage(id).catch(noneWhileAsleep);
        if (context.json) return context.writeJson({ session, turns, usage, away: host?.live === false });
        context.write(describe(context, session, turns, usage, host));
      }),
    );
}

/** A sandbox that does not run uses nothing but its disk; some providers cannot tell what one uses. */
function noneWhileAsleep(error: unknown): null {
  if (error instanceof BerthError && ['sandbox_lost', 'not_found', 'unsupported'].includes(error.code)) return null;
  throw error;
}

function describe(
  { style }: CliContext,
  session: Session,
  turns: readonly Turn[],
  usage: SandboxUsage | null,
  host: Host | null,
): string {
  const now = Date.now();
  const { limits } = session;
  const status = paintStatus(session.status, style)(describeStatus(session));
  const rows: [string, string | null][] = [
    ['session', style.bold(session.id)],
    ['title', sanitizeLine(session.title) || null],
    ['status', session.statusReason === null ? status : `${status}: ${sanitizeLine(session.statusReason)}`],
    ['agent', sanitizeLine([session.agent, session.config['model'], session.modeId].filter(Boolean).join(' · '))],
    ['repository', session.repository === null ? null : sanitizeLine(session.repository)],
    [
      'branch',
      session.branch === null ? null : sanitizeLine(`${session.branch} from ${session.baseBranch ?? 'default'}`),
    ],
    ['sandbox', sanitizeLine([session.sandboxId ?? 'none yet', session.provider, session.template].join(' · '))],
    ['placed', session.providerReason === null ? null : sanitizeLine(`on ${session.provider}: ${session.providerReason}`)],
    ['host', host === null || (host.own && host.leaseUntil === null) ? null : describeHost(host)],
    [
      'limits',
      `${limits.cpus} CPUs, ${formatBytes(limits.memoryBytes)} memory, ${formatBytes(limits.diskBytes)} disk, ${limits.pids} processes`,
    ],
    ['used', usage === null ? null : describeUsage(usage)],
    ['directory', sanitizeLine(session.cwd)],
    ['made', `${agoOf(session.createdAt, now)} by ${sanitizeLine(session.owner)}`],
    ['last used', agoOf(session.lastUsedAt, now)],
    ['forked', session.forkedFrom === null ? null : `from ${session.forkedFrom}`],
    ['rests', session.idle === null ? null : `by times of its own: berth idle ${session.id}`],
    ['events', String(session.lastSeq)],
  ];
  const lines = rows
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${style.dim(name.padEnd(10))}  ${value}`);
  const latest = [...turns].sort((a, b) => b.createdAt.localeCompare(a.createdAt)).slice(0, shownTurns);
  if (latest.length > 0) lines.push('');
  for (const turn of latest) {
    const took =
      turn.startedAt !== null && turn.endedAt !== null
        ? ` in ${formatDuration(Date.parse(turn.endedAt) - Date.parse(turn.startedAt))}`
        : '';
    const why = turn.error === null ? '' : `: ${sanitizeLine(turn.error.message)}`;
    lines.push(`${style.dim(turn.id)}  ${turn.state}${took}${why}`);
  }
  return `${lines.join('\n')}\n`;
}

/** What waits for a host that is away goes on when it returns. */
function describeHost({ id, live, address }: Host): string {
  if (live) return address === null ? id : `${id} at ${sanitizeLine(address)}`;
  return `${id} is away; the session waits for it, or starts again after: berth hosts forget ${id}`;
}

function describeUsage({ cpuTimeMs, memoryBytes, diskBytes, pids }: SandboxUsage): string {
  return `${formatDuration(cpuTimeMs)} of CPU, ${formatBytes(memoryBytes)} memory, ${formatBytes(diskBytes)} disk, ${pids} processes`;
}

function agoOf(at: string, now: number): string {
  const age = formatAge(at, now);
  return age === 'now' ? 'just now' : `${age} ago`;
}
