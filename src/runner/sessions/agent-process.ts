import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { BerthError } from '../../protocol/errors.ts';
import { settledWithin, type Clock } from './clock.ts';
import { LineSplitter } from './line-splitter.ts';
import { signalQuietly } from './process-tree.ts';

const stderrTailLength = 8 * 1024;
const maxStderrLineBytes = 64 * 1024;
/** For an agent to leave by itself when its stdin closes, and again after SIGTERM. */
const politeMs = 2000;
/** For output that is still in the pipe when the process is gone. Descendants may hold it open for ever. */
const drainMs = 500;
const markerName = 'BERTH_AGENT_RUN';

export interface AgentExit {
  exitCode: number | null;
  signal: string | null;
  stderrTail: string;
}

export interface AgentProcessOptions {
  argv: readonly string[];
  /** The whole environment, but for the marker that is added. */
  env: Record<string, string>;
  cwd: string;
  clock: Clock;
  onStderrLine: (line: string) => void;
}

/**
 * One run of an agent: a process in a session and group of its own, with pipes for ACP. Its
 * environment carries a marker by which its commands are found later.
 */
export class AgentProcess {
  readonly pid: number;
  /** `NAME=value` in the environment of the agent and of what it starts. */
  readonly marker: string;
  /** Resolves when the process is gone and its output read. Never rejects. */
  readonly exited: Promise<AgentExit>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #clock: Clock;
  #stderrTail = '';
  #alive = true;

  private constructor(
    child: ChildProcessByStdio<Writable, Readable, Readable>,
    pid: number,
    marker: string,
    options: AgentProcessOptions,
  ) {
    this.#child = child;
    this.pid = pid;
    this.marker = marker;
    this.#clock = options.clock;
    // A write to an agent that is gone fails here; its exit says it better.
    child.stdin.on('error', () => undefined);
    child.stdout.on('error', () => undefined);
    this.#readStderr(options.onStderrLine);
    this.exited = this.#watch();
  }

  /** Throws `agent_failed` when the command cannot be started. */
  static async start(options: AgentProcessOptions): Promise<AgentProcess> {
    const [command, ...args] = options.argv;
    if (command === undefined) throw new BerthError('invalid_request', 'argv is empty', { field: 'argv' });
    const run = randomUUID();
    try {
      const child = spawn(command, args, {
        cwd: options.cwd,
        env: { ...options.env, [markerName]: run },
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: true,
      });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', reject);
      });
      child.on('error', () => undefined);
      return new AgentProcess(child, child.pid ?? 0, `${markerName}=${run}`, options);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
      const message = `the agent ${command} could not be started in ${options.cwd} (${code})`;
      throw new BerthError('agent_failed', message, { cause, context: { command, code } });
    }
  }

  get stdin(): Writable {
    return this.#child.stdin;
  }

  get stdout(): Readable {
    return this.#child.stdout;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get stderrTail(): string {
    return this.#stderrTail;
  }

  /** Ends the agent politely: closes its stdin, then as `kill`. */
  async stop(): Promise<void> {
    this.#child.stdin.end();
    await settledWithin(this.#clock, this.exited, politeMs);
    await this.kill();
  }

  /** Ends the agent's whole group: SIGTERM, after two seconds SIGKILL. Resolves when the agent is gone. */
  async kill(): Promise<void> {
    signalQuietly(-this.pid, 'SIGTERM');
    if (this.#alive) await settledWithin(this.#clock, this.exited, politeMs);
    signalQuietly(-this.pid, 'SIGKILL');
    await this.exited;
  }

  async #watch(): Promise<AgentExit> {
    const { promise, resolve } = Promise.withResolvers<{ exitCode: number | null; signal: string | null }>();
    const drained = new Promise((done) => {
      this.#child.once('close', done);
    });
    this.#child.once('exit', (exitCode, signal) => {
      this.#alive = false;
      resolve({ exitCode, signal });
    });
    const exit = await promise;
    await settledWithin(this.#clock, drained, drainMs);
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
    return { ...exit, stderrTail: this.#stderrTail };
  }

  #readStderr(onLine: (line: string) => void): void {
    const splitter = new LineSplitter({
      maxLineBytes: maxStderrLineBytes,
      onLine: (line) => onLine(line.toString('utf8')),
      onOversized: () => onLine(`[a line of more than ${maxStderrLineBytes} bytes]`),
    });
    this.#child.stderr.on('error', () => undefined);
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#stderrTail = (this.#stderrTail + chunk.toString('utf8')).slice(-stderrTailLength);
      splitter.push(chunk);
    });
    this.#child.stderr.once('end', () => splitter.end());
  }
}
