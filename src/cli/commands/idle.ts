import { Option, type Command } from 'commander';
import type { IdleTimes, Session } from '../../sdk/index.ts';
import { action, type CliContext } from '../context.ts';
import { usageError } from '../failure.ts';
import { parseDuration } from '../parse-duration.ts';
import { formatDuration } from '../render/units.ts';

interface IdleOptions {
  pause?: string;
  hibernate?: string;
  archive?: string;
  asking?: string;
  then?: 'archive' | 'destroy';
  reset?: boolean;
}

const times = [
  ['pause', 'pauseSeconds', 'paused after'],
  ['hibernate', 'hibernateSeconds', 'hibernated after'],
  ['archive', 'archiveSeconds', 'archived after'],
  ['asking', 'askingHibernateSeconds', 'hibernated, while its agent waits for an answer, after'],
] as const;

export function register(program: Command): void {
  program
    .command('idle')
    .summary('when an unused session is put to rest')
    .description(
      'Show or set after how long without use a session is put to rest: 90s, 15m, 2h, 14d, or never. ' +
        "What is not set is the pool's own time.",
    )
    .argument('<session>', 'session id')
    .option('--pause <time>', 'freeze its processes')
    .option('--hibernate <time>', 'put its processes on disk')
    .option('--archive <time>', 'stop it and put it away')
    .option('--asking <time>', 'put it on disk while its agent waits for an answer')
    .addOption(new Option('--then <what>', 'what is done at the time of --archive').choices(['archive', 'destroy']))
    .option('--reset', "back to the pool's times")
    .action(
      action<IdleOptions>(async (context, { argument: [id = ''], options }) => {
        const client = await context.client();
        const given = changeOf(options);
        if (given !== null && options.reset === true) throw usageError('--reset goes alone', 'reset');
        let session = await client.sessions.get(id);
        if (options.reset === true) session = await client.sessions.update(id, { idle: null });
        if (given !== null) session = await client.sessions.update(id, { idle: { ...session.idle, ...given } });
        if (context.json) return context.writeJson({ idle: session.idle });
        context.write(describe(context, session));
      }),
    );
}

function changeOf(options: IdleOptions): IdleTimes | null {
  const change: IdleTimes = {};
  for (const [option, field] of times) {
    const text = options[option];
    if (text !== undefined) change[field] = parseDuration(text, option);
  }
  if (options.then !== undefined) change.lastStep = options.then;
  return Object.keys(change).length === 0 ? null : change;
}

function describe({ style }: CliContext, { idle }: Session): string {
  const destroys = idle?.lastStep === 'destroy';
  const lines = times.map(([, field, words]) => {
    const seconds = idle?.[field];
    const time =
      seconds === undefined
        ? style.dim("the pool's time")
        : seconds === null
          ? 'never'
          : formatDuration(seconds * 1000);
    return `${field === 'archiveSeconds' && destroys ? 'destroyed after' : words} ${time}`;
  });
  return `${lines.join('\n')}\n`;
}
