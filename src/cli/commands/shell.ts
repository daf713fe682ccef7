import type { Command } from 'commander';
import { BerthError, frameType, parseExit, type AttachedProcess } from '../../sdk/index.ts';
import { action, type CliContext } from '../context.ts';
import { exitCode, exitCodeOfProcess } from '../exit-codes.ts';
import { usageError } from '../failure.ts';
import { rawMode, resetTerminal } from '../terminal.ts';
import { withWakeProgress } from '../wake-progress.ts';

interface ShellOptions {
  process?: string;
}

/** Ctrl-], as in telnet. */
const detachKey = 0x1d;
/** Bash where the template has it; every template has `sh`. */
const loginShell = ['/bin/sh', '-c', 'if command -v bash >/dev/null; then exec bash -l; else exec sh -l; fi'];

export function register(program: Command): void {
  program
    .command('shell')
    .summary("open a terminal in a session's sandbox")
    .description("Open a terminal in a session's sandbox. Ctrl-] detaches and leaves the shell running.")
    .argument('<session>', 'session id')
    .option('--process <id>', 'attach to a terminal that was left')
    .action(
      action<ShellOptions>(async (context, { argument: [sessionId = ''], options }) => {
        if (!context.interactive) throw usageError('shell needs a terminal; for scripts there is berth exec');
        const client = await context.client();
        const size = (): { cols: number; rows: number } => ({
          cols: process.stdout.columns || 80,
          rows: process.stdout.rows || 24,
        });
        const processId = options.process ?? (await withWakeProgress(context, client, sessionId, startShell));
        const attached = await client.sessions.processes.attach(sessionId, processId);
        attached.resize(size());
        const onResize = (): void => attached.resize(size());
        process.stdout.on('resize', onResize);
        try {
          const end = await relay(attached);
          if (end !== 'detached') return end;
        } catch (error) {
          if (!(error instanceof BerthError) || error.code !== 'unavailable') throw error;
          context.notice('The connection was lost.');
          sayHowToReturn(context, sessionId, processId);
          return exitCode.unavailable;
        } finally {
          process.stdout.off('resize', onResize);
        }
        sayHowToReturn(context, sessionId, processId);
        return exitCode.ok;

        async function startShell(): Promise<string> {
          const { cwd } = await client.sessions.get(sessionId);
          const env = { TERM: process.env['TERM'] || 'xterm-256color' };
          const started = await client.sessions.processes.start(sessionId, { argv: loginShell, cwd, env, pty: size() });
          return started.id;
        }
      }),
    );
}

function sayHowToReturn(context: CliContext, sessionId: string, processId: string): void {
  context.notice(`The shell goes on. Return to it with:\n  berth shell ${sessionId} --process ${processId}`);
}

/** Joins the terminal and the process until one of them ends it. The terminal is always given back. */
async function relay(attached: AttachedProcess): Promise<number | 'detached'> {
  using _raw = rawMode();
  let detached = false;
  const onData = (data: Buffer): void => {
    const at = data.indexOf(detachKey);
    if (at > 0) void attached.write(data.subarray(0, at));
    else if (at < 0) void attached.write(data);
    if (at < 0) return;
    detached = true;
    attached.close();
  };
  process.stdin.on('data', onData);
  process.stdin.resume();
  let exited: number | null = null;
  try {
    for await (const frame of attached.output) {
      if (frame.type === frameType.stdout || frame.type === frameType.stderr) process.stdout.write(frame.payload);
      else if (frame.type === frameType.exit) exited = exitCodeOfProcess(parseExit(frame));
    }
  } finally {
    process.stdin.off('data', onData);
    process.stdin.pause();
    // A shell that exited by itself has put its terminal in order.
    if (exited === null) process.stdout.write(`${resetTerminal}\r\n`);
  }
  return detached ? 'detached' : (exited ?? exitCode.failed);
}
