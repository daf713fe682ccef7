import { randomBytes } from 'node:crypto';
import { BerthError } from '../../protocol/errors.ts';
import { connectSocket } from './guest-channel.ts';

/** An answer is one line of a few numbers. */
const maxAnswerBytes = 1024;
const verbs = /^[a-z]+$/;
const plain = /^[A-Za-z0-9+/=._:-]+$/;

/**
 * Has a guest's init do one thing, over the socket that its machine offers for that line, and resolves to what it says of it.
 * Each call is a connection and has a number of its own, so what an earlier one left on the line is passed over. Throws
 * `upstream_failed` when the init refuses, `sandbox_lost` when the machine ends.
 */
export async function tellInit(
  socketPath: string,
  [verb, ...args]: readonly [string, ...string[]],
  signal: AbortSignal,
): Promise<string> {
  if (!verbs.test(verb) || args.some((argument) => !plain.test(argument))) throw new Error(`not for the init: ${verb}`);
  const socket = await connectSocket(socketPath, signal);
  const id = randomBytes(8).toString('hex');
  try {
    return await new Promise<string>((resolve, reject) => {
      const abort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        const answer = new RegExp(`^${id} (ok|failed) ?(.*)\\n`, 'm').exec(text);
        if (answer?.[1] === 'ok') resolve(answer[2]!.trim());
        if (answer?.[1] === 'failed') reject(new BerthError('upstream_failed', `the guest could not ${verb}`));
        text = text.slice(-maxAnswerBytes);
      });
      socket.once('close', () => {
        signal.removeEventListener('abort', abort);
        reject(new BerthError('sandbox_lost', 'the machine ended'));
      });
      // Ends what an earlier connection may have left half said.
      socket.write(`\n${[id, verb, ...args].join(' ')}\n`);
    });
  } finally {
    socket.destroy();
  }
}
