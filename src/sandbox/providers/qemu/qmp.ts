import { z } from 'zod';
import { BerthError } from '../../../protocol/errors.ts';
import { connectSocket } from '../../connect-socket.ts';

/** A machine's monitor (QEMU Machine Protocol), for the time of one operation: the machine takes one connection at a time. */
export interface Qmp {
  /** Resolves to what the command returns. Throws `upstream_failed` with what QEMU says against it. */
  run(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
  close(): void;
}

const message = z.looseObject({
  QMP: z.unknown().optional(),
  id: z.number().optional(),
  return: z.unknown().optional(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
});

interface Waiting {
  command: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Rejects with `ENOENT` or `ECONNREFUSED` when the machine does not run. Calls that are under way when the signal fires reject. */
export async function openQmp(socketPath: string, signal: AbortSignal): Promise<Qmp> {
  const socket = await connectSocket(socketPath, signal);
  const waiting = new Map<number, Waiting>();
  let last = 0;
  let text = '';
  const fail = (error: Error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  const abort = () => socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  socket.once('close', () => {
    signal.removeEventListener('abort', abort);
    fail(signal.aborted ? (signal.reason as Error) : new BerthError('sandbox_lost', 'the machine ended'));
  });
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines.filter((each) => each.trim() !== '')) settle(line);
  });

  function settle(line: string): void {
    const parsed = message.safeParse(JSON.parse(line));
    if (!parsed.success || parsed.data.id === undefined) return;
    const call = waiting.get(parsed.data.id);
    waiting.delete(parsed.data.id);
    const { error } = parsed.data;
    if (error === undefined) return call?.resolve(parsed.data.return);
    call?.reject(
      new BerthError('upstream_failed', `QEMU: ${call.command}: ${error.desc}`, { context: { class: error.class } }),
    );
  }

  function run(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (socket.destroyed) {
        reject(signal.aborted ? (signal.reason as Error) : new BerthError('sandbox_lost', 'the machine ended'));
        return;
      }
      last += 1;
      waiting.set(last, { command, resolve, reject });
      socket.write(`${JSON.stringify({ execute: command, arguments: args, id: last })}\n`);
    });
  }

  try {
    await run('qmp_capabilities');
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return { run, close: () => socket.destroy() };
}
