import { request } from 'node:http';
import { lstat } from 'node:fs/promises';
import { z } from 'zod';
import { BerthError } from '../../../protocol/errors.ts';

/**
 * A machine's HTTP interface, on a socket that its own user makes. The bodies are those of the published description
 * (firecracker-microvm/firecracker, src/firecracker/swagger/firecracker.yaml), as far as this driver uses it.
 */
export interface MachineApi {
  /** Throws `upstream_failed` with what Firecracker says against it, `sandbox_lost` when the machine does not answer. */
  configure(path: ConfigurePath, body: Readonly<Record<string, unknown>>): Promise<void>;
  setState(state: 'Paused' | 'Resumed'): Promise<void>;
  state(): Promise<MachineState>;
}

export type ConfigurePath =
  | '/machine-config'
  | '/boot-source'
  | '/vsock'
  | '/balloon'
  | '/actions'
  | '/snapshot/create'
  | '/snapshot/load'
  | `/drives/${string}`
  | `/network-interfaces/${string}`;

const instance = z.looseObject({ state: z.enum(['Not started', 'Running', 'Paused']) });
export type MachineState = z.infer<typeof instance>['state'];
const fault = z.object({ fault_message: z.string() });

/** An answer is one small object. */
const maxAnswerBytes = 64 * 1024;

export function createMachineApi(socketPath: string, signal: AbortSignal): MachineApi {
  async function call(method: 'GET' | 'PUT' | 'PATCH', path: string, body?: Readonly<Record<string, unknown>>): Promise<string> {
    signal.throwIfAborted();
    await checkSocket(socketPath);
    const { status, text } = await exchange(socketPath, method, path, body, signal);
    if (status === 200 || status === 204) return text;
    throw new BerthError('upstream_failed', `Firecracker: ${method} ${path}: ${faultOf(text) ?? `status ${status}`}`, {
      context: { status },
    });
  }

  return {
    async configure(path, body) {
      await call('PUT', path, body);
    },
    async setState(state) {
      await call('PATCH', '/vm', { state });
    },
    async state() {
      const parsed = instance.safeParse(parseJson(await call('GET', '/')));
      if (!parsed.success) throw new BerthError('upstream_failed', 'Firecracker: GET /: not the state of a machine');
      return parsed.data.state;
    },
  };
}

/** Anything else could lead to a socket of somebody else. */
async function checkSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (!found?.isSocket()) throw new BerthError('sandbox_lost', 'the machine has ended');
}

function faultOf(text: string): string | null {
  const parsed = fault.safeParse(parseJson(text));
  return parsed.success ? parsed.data.fault_message : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
  body: Readonly<Record<string, unknown>> | undefined,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const payload = body === undefined ? null : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const lost = (cause: unknown) =>
      reject(signal.aborted ? (signal.reason as Error) : new BerthError('sandbox_lost', 'the machine does not answer', { cause }));
    const headers = {
      host: 'localhost',
      accept: 'application/json',
      connection: 'close',
      ...(payload === null ? {} : { 'content-type': 'application/json', 'content-length': String(payload.length) }),
    };
    const call = request({ socketPath, method, path, headers, signal, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > maxAnswerBytes) call.destroy(new Error('the answer is too long'));
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', lost);
    });
    call.on('error', lost);
    call.end(payload ?? undefined);
  });
}
