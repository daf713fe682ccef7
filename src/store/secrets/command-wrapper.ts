import { spawn } from 'node:child_process';
import type { KeyWrapper } from '../../core/ports/secrets.ts';
import { BerthError } from '../../protocol/errors.ts';
import { keyBytes, notSealed } from './sealing.ts';

const timeoutMs = 30_000;
const maxOutputBytes = 16 * 1024;

/**
 * Wraps by a program, the bridge to any key management service: `PROGRAM wrap` reads a data key in base64 from its standard
 * input and writes the wrapped one as one line; `PROGRAM unwrap` does the reverse. No shell, nothing secret in
 * arguments or environment, of which it gets `PATH` and `HOME`. What it says on its standard error is not kept: it may quote keys.
 */
export function createCommandWrapper(program: string, environment: Readonly<Record<string, string | undefined>>): KeyWrapper {
  const env = Object.fromEntries(
    ['PATH', 'HOME'].flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])),
  ) as NodeJS.ProcessEnv;

  async function run(action: 'wrap' | 'unwrap', input: string, signal: AbortSignal): Promise<string> {
    const failure = (reason: string, cause?: unknown) =>
      new BerthError('unavailable', `BERTH_KMS_COMMAND ${action}: ${reason}`, { field: 'BERTH_KMS_COMMAND', cause });
    const child = spawn(program, [action], {
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      killSignal: 'SIGKILL',
    });
    const ended = new Promise<number | string>((resolve, reject) => {
      child.once('error', (error: NodeJS.ErrnoException) =>
        reject(failure(error.name === 'AbortError' ? 'it took too long' : `it cannot be run (${error.code ?? error.name})`, error)),
      );
      child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'ended'));
    });
    // One that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(`${input}\n`);
    let output = '';
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text;
      if (output.length > maxOutputBytes) child.kill('SIGKILL');
    });
    const code = await ended;
    if (output.length > maxOutputBytes) throw failure('it wrote more than a wrapped key is long');
    if (code !== 0) throw failure(`it ended with ${code}`);
    const line = output.trim();
    if (!/^[\x21-\x7e]+$/.test(line)) throw failure('it did not write one line of text');
    return line;
  }

  return {
    id: 'command',
    wrap: (dataKey, _dataKeyId, signal) => run('wrap', Buffer.from(dataKey).toString('base64'), signal),
    async unwrap(wrapped, _dataKeyId, signal) {
      const dataKey = Buffer.from(await run('unwrap', wrapped, signal), 'base64');
      if (dataKey.length !== keyBytes) throw notSealed('the command gave no data key');
      return dataKey;
    },
  };
}
