import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { BerthError } from '../../protocol/errors.ts';
import { orAborted } from '../or-aborted.ts';
import { connectLine, lineName, type LineAddress } from './line.ts';

/** An answer is one line of a few numbers. */
const maxKeptBytes = 4096;
const verbs = /^[a-z]+$/;
const plain = /^[A-Za-z0-9+/=._:-]+$/;

/** The lines to the inits of guests, kept open: a guest that has nobody at the other end must look for them again and again. */
export interface ControlLines {
  /**
   * Has the init do one thing, over the line that its machine has for that, and resolves to what it says of it. What an
   * earlier call left on the line is passed over. Throws `upstream_failed` when the init refuses, `sandbox_lost` when
   * the machine ends.
   */
  tell(address: LineAddress, command: readonly [string, ...string[]], signal: AbortSignal): Promise<string>;
  drop(address: LineAddress): void;
  close(): void;
}

interface Line {
  socket: Socket;
  text: string;
  /** Called at each byte that comes. */
  heard: Set<() => void>;
}

export function createControlLines(): ControlLines {
  const lines = new Map<string, Promise<Line>>();

  function open(address: LineAddress): Promise<Line> {
    const name = lineName(address);
    let line = lines.get(name);
    if (line !== undefined) return line;
    line = connectLine(address, AbortSignal.timeout(connectMs)).then((socket) => listen(socket));
    lines.set(name, line);
    const forget = () => {
      if (lines.get(name) === line) lines.delete(name);
    };
    line.then(({ socket }) => socket.once('close', forget), forget);
    return line;
  }

  function drop(name: string): void {
    const line = lines.get(name);
    lines.delete(name);
    line?.then(
      ({ socket }) => socket.destroy(),
      () => {},
    );
  }

  return {
    async tell(address, [verb, ...args], signal) {
      if (!verbs.test(verb) || args.some((argument) => !plain.test(argument))) throw new Error(`not for the init: ${verb}`);
      signal.throwIfAborted();
      const line = await orAborted(open(address), signal);
      const id = randomBytes(8).toString('hex');
      const answered = answerTo(line, id, verb, signal);
      // Ends what an earlier connection may have left half said.
      line.socket.write(`\n${[id, verb, ...args].join(' ')}\n`);
      return answered;
    },
    drop: (address) => drop(lineName(address)),
    close() {
      for (const name of lines.keys()) drop(name);
    },
  };
}

const connectMs = 10_000;

function listen(socket: Socket): Line {
  const line: Line = { socket, text: '', heard: new Set() };
  socket.on('data', (chunk: Buffer) => {
    line.text = (line.text + chunk.toString('latin1')).slice(-maxKeptBytes);
    for (const each of line.heard) each();
  });
  return line;
}

function answerTo(line: Line, id: string, verb: string, signal: AbortSignal): Promise<string> {
  const pattern = new RegExp(`^${id} (ok|failed) ?(.*)\\n`, 'm');
  return new Promise((resolve, reject) => {
    const settle = () => {
      line.heard.delete(heard);
      line.socket.off('close', lost);
      signal.removeEventListener('abort', abort);
    };
    const heard = () => {
      const answer = pattern.exec(line.text);
      if (answer === null) return;
      settle();
      if (answer[1] === 'ok') resolve(answer[2]!.trim());
      else reject(new BerthError('upstream_failed', `the guest could not ${verb}`));
    };
    const lost = () => {
      settle();
      reject(new BerthError('sandbox_lost', 'the machine ended'));
    };
    const abort = () => {
      settle();
      reject(signal.reason as Error);
    };
    line.heard.add(heard);
    line.socket.once('close', lost);
    signal.addEventListener('abort', abort, { once: true });
  });
}
