import { resolve } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { action } from '../context.ts';
import { configPath, writeConfig } from '../config-file.ts';
import { exitCode } from '../exit-codes.ts';
import { sanitizeLine } from '../render/sanitize.ts';

interface UpOptions {
  host?: string;
  port?: number;
  dataDir?: string;
}

export function register(program: Command): void {
  program
    .command('up')
    .summary('start the server on this machine')
    .description('Start the server in this process. Ctrl-C stops it; sessions and their sandboxes are kept.')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <number>', 'port to listen on', portNumber)
    .option('--data-dir <directory>', 'where everything is kept')
    .action(
      action<UpOptions>(async (context, { options }) => {
        const { startServer } = await import('../../main.ts');
        const { host, port, dataDir } = options;
        const server = await startServer(
          {
            ...(host === undefined ? {} : { host }),
            ...(port === undefined ? {} : { port }),
            ...(dataDir === undefined ? {} : { dataDir: resolve(dataDir) }),
          },
          (line) => context.notice(context.style.dim(`· ${sanitizeLine(line)}`)),
        );
        const path = configPath(process.env);
        await writeConfig(path, { url: server.url, token: server.token });
        if (context.json) {
          context.writeJson({ url: server.url, token: server.token, signInUrl: server.signInUrl });
        } else {
          const { style } = context;
          context.write(
            [
              `${style.green('✔')} ${style.bold('Berth is up')} at ${style.cyan(server.url)}`,
              '',
              `  ${style.dim('open')}   ${style.cyan(server.signInUrl)}`,
              `         ${style.dim('signs one browser in, once; berth open prints another')}`,
              `  ${style.dim('token')}  ${server.token}`,
              `  ${style.dim('saved')}  ${path}, for the other commands`,
              `  ${style.dim('try')}    berth run --repo . "What does this project do?"`,
              `  ${style.dim('stop')}   Ctrl-C; sessions and sandboxes are kept`,
              '',
            ].join('\n'),
          );
        }
        await stopSignal();
        context.notice('\nstopping; Ctrl-C again does not wait');
        await server.close();
        return exitCode.ok;
      }),
    );
}

/** Resolves at the first signal to stop. The next one ends the process in the usual way. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      process.removeListener('SIGINT', stop);
      process.removeListener('SIGTERM', stop);
      resolve();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
}

function portNumber(value: string): number {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new InvalidArgumentError('expected 0 to 65535.');
  return port;
}
