import { runnerHeartbeatMs } from '../../protocol/runner-api.ts';
import type { RouteContext } from '../router.ts';
import type { Locate } from './locate.ts';
import { readFlag } from './query.ts';
import { watchFiles } from './watch.ts';

/** Changes that a slow reader has not taken; beyond it they are dropped and `overflow` is told. */
const maxBacklogBytes = 1024 * 1024;

/** Answers `GET /files/watch`. The answer begins when the watch does: what changes after the headers is told. */
export function sendChanges(locate: Locate, { res, url }: RouteContext, path: string): void {
  let dropped = false;
  const send = (line: string) => {
    if (res.writableLength > maxBacklogBytes) dropped = true;
    else res.write(line);
  };
  const watch = watchFiles(locate, path, { recursive: readFlag(url, 'recursive') }, (change) =>
    send(`${JSON.stringify(change)}\n`),
  );
  res.on('drain', () => {
    if (!dropped) return;
    dropped = false;
    send(`${JSON.stringify({ type: 'overflow', path })}\n`);
  });
  const heartbeat = setInterval(() => send('\n'), runnerHeartbeatMs);
  res.once('close', () => {
    clearInterval(heartbeat);
    watch.close();
  });
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  res.flushHeaders();
}
