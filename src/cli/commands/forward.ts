import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Command } from 'commander';
import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { BerthClient, ForwardedConnection } from '../../sdk/index.ts';
import { action, type CliContext } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { usageError } from '../failure.ts';
import { onInterrupt } from '../interrupt.ts';
import { withWakeProgress } from '../wake-progress.ts';

interface ForwardOptions {
  address: string;
}

export function register(program: Command): void {
  program
    .command('forward')
    .summary('reach ports of a sandbox on this machine')
    .description(
      'Listen on this machine and pass every connection on to a port of the sandbox, until Ctrl-C. ' +
        'Each connection wakes the sandbox and keeps it awake.',
    )
    .argument('<session>', 'session id')
    .argument('<port...>', 'the port inside, or another here: 3000, 8000:3000, 0:3000 for any free one')
    .option('--address <address>', 'where to listen', '127.0.0.1')
    .action(
      action<ForwardOptions>(async (context, { argument: [id = '', ...specs], options }) => {
        const ports = specs.map(parsePorts);
        const client = await context.client();
        await withWakeProgress(context, client, id, () => client.sessions.wake(id));
        const servers: Server[] = [];
        for (const { here, inside } of ports) {
          const server = createServer(
            { allowHalfOpen: true },
            (socket) => void relay(context, client, id, inside, socket),
          );
          servers.push(server);
          const port = await listen(server, here, options.address);
          if (context.json)
            context.writeJson({ session: id, port: inside, address: options.address, localPort: port }, 'line');
          else context.write(`${options.address}:${port} -> ${inside}\n`);
        }
        const interrupted = Promise.withResolvers<void>();
        using _ctrlC = onInterrupt(interrupted.resolve);
        await interrupted.promise;
        for (const server of servers) server.close();
        return exitCode.ok;
      }),
    );
}

function parsePorts(text: string): { here: number; inside: number } {
  const match = /^(?:(\d{1,5}):)?(\d{1,5})$/.exec(text);
  const inside = Number(match?.[2]);
  const here = match?.[1] === undefined ? inside : Number(match[1]);
  if (match === null || inside < 1 || inside > 65_535 || here > 65_535) {
    throw usageError(`"${text}" is no port; write 3000, or 8000:3000 for another one here`, 'port');
  }
  return { here, inside };
}

async function listen(server: Server, port: number, host: string): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new BerthError('conflict', `cannot listen on ${host}:${port}: ${code}`, { field: 'port', cause });
  }
  return (server.address() as AddressInfo).port;
}

/** One connection from its first byte to the end of both directions. What fails ends it alone. */
async function relay(
  context: CliContext,
  client: BerthClient,
  sessionId: string,
  port: number,
  socket: Socket,
): Promise<void> {
  socket.on('error', () => {});
  let connection: ForwardedConnection | null = null;
  try {
    const opened = await client.sessions.forward(sessionId, port);
    connection = opened;
    socket.once('close', () => opened.close());
    await Promise.all([send(socket, opened), receive(opened, socket)]);
  } catch (error) {
    const known = asBerthError(error);
    if (!socket.destroyed) context.notice(`port ${port}: ${known.message}`);
    socket.destroy();
  } finally {
    connection?.close();
  }
}

async function send(socket: Socket, connection: ForwardedConnection): Promise<void> {
  try {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) await connection.write(chunk as Uint8Array);
  } catch {
    // The program here is gone: so is its connection.
    connection.close();
    return;
  }
  connection.end();
}

async function receive(connection: ForwardedConnection, socket: Socket): Promise<void> {
  for await (const chunk of connection.output) {
    if (socket.destroyed) return;
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  }
  socket.end();
}
