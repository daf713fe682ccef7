import type { Readable } from 'node:stream';

/**
 * How long the output of an ended process may be silent before it counts as complete. A process that
 * it left in the background may hold the pipe for days; what it writes after this is not waited for.
 */
export const quietAfterExitMs = 200;

/**
 * Resolves when every stream has closed or, after `quietMs` without data, is held open by somebody
 * else. A paused stream is not silent: its reader is slow. To be called when the process has exited.
 */
export function outputEnd(streams: readonly Readable[], quietMs = quietAfterExitMs): Promise<void> {
  return new Promise((resolve) => {
    const open = new Set(streams.filter((stream) => !stream.closed));
    let timer: NodeJS.Timeout;
    const finish = () => {
      clearTimeout(timer);
      for (const stream of open) stream.off('data', arm).off('close', onClose);
      resolve();
    };
    const onQuiet = () => {
      if ([...open].some((stream) => stream.isPaused())) arm();
      else finish();
    };
    const arm = () => {
      clearTimeout(timer);
      timer = setTimeout(onQuiet, quietMs);
    };
    function onClose(this: Readable) {
      open.delete(this);
      if (open.size === 0) finish();
    }
    for (const stream of open) stream.on('data', arm).on('close', onClose);
    if (open.size === 0) resolve();
    else arm();
  });
}
