/** A refusal in JSON-RPC's terms. */
export class RpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export type Handlers = Record<string, (params: Record<string, unknown>) => unknown>;

export interface RpcServer {
  notify(method: string, params: object): void;
}

/**
 * A JSON-RPC 2.0 server on stdin and stdout, one message a line: all of it that this agent needs. The
 * official SDK would take longer to load than the agent may take to start. `onEnd` is called when the client is gone.
 */
export function serveRpc(handlers: Handlers, onEnd: () => void): RpcServer {
  const send = (message: object) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

  async function receive(line: string): Promise<void> {
    const message = parse(line);
    if (message === null) {
      send({ id: null, error: { code: -32700, message: 'not a JSON object' } });
      return;
    }
    const { id, method, params } = message;
    if (typeof method !== 'string') return;
    try {
      const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
      if (handler === undefined) throw new RpcError(-32601, `method not found: ${method}`);
      const result = await handler((params ?? {}) as Record<string, unknown>);
      if (id !== undefined) send({ id, result: result ?? {} });
    } catch (error) {
      const code = error instanceof RpcError ? error.code : -32603;
      if (id !== undefined)
        send({ id, error: { code, message: error instanceof Error ? error.message : String(error) } });
    }
  }

  let rest = '';
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') void receive(line);
  });
  process.stdin.on('end', onEnd);
  process.stdout.on('error', onEnd);
  return { notify: (method, params) => send({ method, params }) };
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
