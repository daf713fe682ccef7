import type { Command } from 'commander';
import { action } from '../context.ts';
import { download } from '../copy/download.ts';
import { absoluteRemote, parseRemote } from '../copy/remote-path.ts';
import { upload } from '../copy/upload.ts';
import { usageError } from '../failure.ts';
import { formatBytes, plural } from '../render/units.ts';
import { withWakeProgress } from '../wake-progress.ts';

export function register(program: Command): void {
  program
    .command('cp')
    .summary('copy files into or out of a session')
    .description(
      'Copy a file or directory into or out of a session. One side is <session>:<path>; ' +
        "a relative path there starts at the session's directory.",
    )
    .argument('<source>', 'path, or session:path')
    .argument('<target>', 'path, or session:path')
    .action(
      action(async (context, { argument: [source = '', target = ''] }) => {
        const from = parseRemote(source);
        const to = parseRemote(target);
        if ((from === null) === (to === null)) {
          throw usageError('exactly one side must be in a session: ses_...:/path', from === null ? 'source' : 'target');
        }
        const client = await context.client();
        if (from !== null) {
          const { cwd } = await client.sessions.get(from.sessionId);
          const source = { ...from, path: absoluteRemote(from.path, cwd) };
          const copied = await withWakeProgress(context, client, from.sessionId, () => download(client, source, target));
          if (context.json) return context.writeJson(copied);
          return context.notice(`${plural(copied.files, 'file')}, ${formatBytes(copied.bytes)}`);
        }
        if (to !== null) {
          const { cwd } = await client.sessions.get(to.sessionId);
          // `resolve` drops a slash at the end, which says "into this directory".
          const slash = to.path.endsWith('/') ? '/' : '';
          const place = { ...to, path: absoluteRemote(to.path, cwd) + slash };
          const path = await withWakeProgress(context, client, to.sessionId, () => upload(client, source, place));
          if (context.json) return context.writeJson({ path });
          context.notice(`${to.sessionId}:${path}`);
        }
      }),
    );
}
