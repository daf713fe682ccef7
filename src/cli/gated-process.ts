import {
  BerthError,
  frameType,
  type AttachedProcess,
  type BerthClient,
  type Frame,
  type ProcessInput,
} from '../sdk/index.ts';

export interface GatedProcess extends AttachedProcess {
  id: string;
}

/**
 * A shell that says one byte, waits for one line, and becomes the command, which finds the rest of the
 * input untouched: `read` takes no more than its line.
 */
const gate = ['/bin/sh', '-c', 'printf . && read -r _ && exec "$@"', 'sh'];

/**
 * Starts a command that does nothing before this client listens. A process keeps only the tail of what
 * it writes unheard, and a server buffers little input before it is attached; so a command that is
 * started first and attached then may lose either. To be removed once the API can start a process held.
 */
export async function startGated(
  client: BerthClient,
  sessionId: string,
  input: Omit<ProcessInput, 'stdin' | 'pty'>,
): Promise<GatedProcess> {
  const { processes } = client.sessions;
  const { id } = await processes.start(sessionId, { ...input, argv: [...gate, ...input.argv], stdin: true });
  const attached = await processes.attach(sessionId, id);
  const frames = attached.output[Symbol.asyncIterator]();
  const first = await frames.next();
  if (first.done || first.value.type !== frameType.stdout || first.value.payload.length !== 1) {
    attached.close();
    throw new BerthError('upstream_failed', 'the sandbox has no shell to start the command with');
  }
  await attached.write('\n');
  const output: AsyncIterable<Frame> = { [Symbol.asyncIterator]: () => frames };
  return { ...attached, id, output };
}
