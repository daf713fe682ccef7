import { once } from 'node:events';
import type { Command } from 'commander';
import { BerthError, frameType, parseExit, type AttachedProcess, type BerthClient } from '../../sdk/index.ts';
import { toBase64 } from '../../sdk/base64.ts';
import { action, type CliContext } from '../context.ts';
import { exitCode, exitCodeOfProcess } from '../exit-codes.ts';
import { usageError } from '../failure.ts';
import { startGated } from '../gated-process.ts';
import { onInterrupt } from '../interrupt.ts';
import { withWakeProgress } from '../wake-progress.ts';

interface ExecOptions {
  cwd?: string;
  stdin: boolean;
}

export function register(program: Command): void {
  program
    .command('exec')
    .summary("run a command in a session's sandbox")
    .description(
      "Run a command in a session's sandbox. Input that is piped in goes to it, its output comes out raw, " +
        'and its exit code becomes this one.',
    )
    .usage('[options] <session> -- <command> [argument...]')
    .argument('<session>', 'session id')
    .argument('<command...>', 'command and arguments, after --')
    .option('--cwd <directory>', "where it runs (default: the session's directory)")
    .option('-n, --no-stdin', 'give the command no input')
    .action(
      action<ExecOptions>(async (context, { argument: [sessionId = '', ...argv], options }) => {
        if (argv.length === 0) throw usageError('no command', 'argv');
        const client = await context.client();
        const cwd = options.cwd ?? (await client.sessions.get(sessionId)).cwd;
        if (context.json) return collected(context, client, sessionId, argv, cwd);
        const stdin = options.stdin && process.stdin.isTTY !== true;
        const started = () => startGated(client, sessionId, { argv, cwd });
        return streamed(client, sessionId, await withWakeProgress(context, client, sessionId, started), stdin);
      }),
    );
}

/** `--json`: one document with everything in it. */
async function collected(
  context: CliContext,
  client: BerthClient,
  sessionId: string,
  argv: string[],
  cwd: string,
): Promise<number> {
  const result = await client.sessions.exec(sessionId, { argv, cwd });
  context.writeJson({ ...result, stdout: toBase64(result.stdout), stderr: toBase64(result.stderr) });
  return exitCodeOfProcess(result);
}

async function streamed(
  client: BerthClient,
  sessionId: string,
  attached: Awaited<ReturnType<typeof startGated>>,
  stdin: boolean,
): Promise<number> {
  using _ctrlC = onInterrupt(() => {
    client.sessions.processes.signal(sessionId, attached.id, 'SIGINT').catch(() => process.exit(exitCode.interrupted));
  });
  if (stdin) void sendInput(attached);
  else attached.end();
  for await (const frame of attached.output) {
    if (frame.type === frameType.stdout) await writeTo(process.stdout, frame.payload);
    else if (frame.type === frameType.stderr) await writeTo(process.stderr, frame.payload);
    else if (frame.type === frameType.exit) return exitCodeOfProcess(parseExit(frame));
  }
  throw new BerthError('upstream_failed', 'the process stream ended without an exit');
}

async function writeTo(stream: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> {
  if (!stream.write(bytes)) await once(stream, 'drain');
}

/** Standard input to its end. A command that ends first leaves the rest unread. */
async function sendInput(attached: AttachedProcess): Promise<void> {
  try {
    for await (const chunk of process.stdin) await attached.write(chunk as Buffer);
  } finally {
    attached.end();
  }
}
