/**
 * The terminal in raw mode, given back whatever happens: on return, on a thrown error, on exit and
 * on a signal that would end the process.
 */
export function rawMode(): Disposable {
  const { stdin } = process;
  if (!stdin.isTTY) return { [Symbol.dispose]: () => undefined };
  const restore = (): void => void stdin.setRawMode(false);
  const die = (signal: NodeJS.Signals): void => {
    restore();
    process.removeListener(signal, die);
    process.kill(process.pid, signal);
  };
  stdin.setRawMode(true);
  process.once('exit', restore);
  process.on('SIGTERM', die);
  process.on('SIGHUP', die);
  return {
    [Symbol.dispose]() {
      restore();
      process.removeListener('exit', restore);
      process.removeListener('SIGTERM', die);
      process.removeListener('SIGHUP', die);
    },
  };
}

/**
 * What a remote full-screen program may have left on, turned off: alternate screen, hidden cursor,
 * mouse reports, bracketed paste, application keys, colours.
 */
export const resetTerminal =
  '\u001b[?1049l\u001b[?25h\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l\u001b[?2004l\u001b[?1l\u001b>\u001b[0m';

/** Keys pressed before a question could be read must not answer it. */
const typeAheadMs = 250;

/** One key press. Ctrl-C is raised as the signal that it is elsewhere. Rejects when the signal fires. */
export async function readKey(accept: (key: string) => boolean, signal: AbortSignal): Promise<string> {
  using _raw = rawMode();
  const { stdin } = process;
  const since = Date.now();
  return await new Promise<string>((resolve, reject) => {
    const done = (): void => {
      stdin.off('data', onData);
      stdin.pause();
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = (): void => {
      done();
      reject(signal.reason as Error);
    };
    const onData = (data: Buffer): void => {
      const key = data.toString('utf8');
      if (key.startsWith('\u0003')) process.kill(process.pid, 'SIGINT');
      else if (Date.now() - since >= typeAheadMs && accept(key)) {
        done();
        resolve(key);
      }
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    stdin.on('data', onData);
    stdin.resume();
  });
}
