import { EventEmitter } from 'node:events';
import { BerthError } from '../../protocol/errors.ts';
import type { frameType } from '../../protocol/frames.ts';
import type { ProcessInfo, ProcessSpec } from '../../protocol/runner-api.ts';
import { outputEnd } from '../output-end.ts';
import { countStreamed } from '../streamed-memory.ts';
import { signalGroup } from '../process-group.ts';
import { OutputTail } from './output-tail.ts';
import type { Started } from './started.ts';

export const tailBytes = 1024 * 1024;

interface ProcessEvents {
  output: [type: typeof frameType.stdout | typeof frameType.stderr, chunk: Buffer];
  /** The process has exited and its output is complete. */
  end: [];
}

/**
 * A process that lasts beyond the request that started it. Its output is always read: into the tail, and to
 * whoever listens; a listener that cannot keep up calls `hold` and `release`, and the process then
 * blocks on its next write, as it would before a slow pipe.
 */
export class SandboxProcess extends EventEmitter<ProcessEvents> {
  readonly id: string;
  readonly tail = new OutputTail(tailBytes);
  readonly #started: Started;
  readonly #spec: ProcessSpec;
  readonly #cwd: string;
  readonly #startedAt = new Date().toISOString();
  readonly #holders = new Set<object>();
  #exit: ProcessInfo['exit'] = null;
  #ended = false;

  constructor(id: string, spec: ProcessSpec, cwd: string, started: Started) {
    super();
    this.setMaxListeners(0);
    this.id = id;
    this.#spec = spec;
    this.#cwd = cwd;
    this.#started = started;
    for (const { type, stream } of started.outputs) {
      stream.on('data', (chunk: Buffer) => {
        countStreamed(chunk.length);
        // Output of a process left in the background, after the end was announced.
        if (this.#ended) return;
        this.tail.append(type, chunk);
        this.emit('output', type, chunk);
      });
    }
    void this.#finish();
  }

  get info(): ProcessInfo {
    return {
      id: this.id,
      pid: this.#started.pid,
      argv: this.#spec.argv,
      cwd: this.#cwd,
      pty: this.#spec.pty !== undefined,
      startedAt: this.#startedAt,
      exit: this.#exit,
    };
  }

  get running(): boolean {
    return this.#exit === null;
  }

  get exited(): Promise<unknown> {
    return this.#started.exited;
  }

  /** Exited, and nothing more will be written. */
  get ended(): boolean {
    return this.#ended;
  }

  get exit(): ProcessInfo['exit'] {
    return this.#exit;
  }

  /** `false` when the writer should wait for `onceWritable` before more. What nobody reads is dropped. */
  write(bytes: Uint8Array): boolean {
    const { input } = this.#started;
    return input === null || !input.writable || input.write(bytes);
  }

  onceWritable(callback: () => void): void {
    const { input } = this.#started;
    if (input === null || !input.writable) {
      callback();
      return;
    }
    const done = () => {
      input.off('drain', done).off('close', done);
      callback();
    };
    input.once('drain', done).once('close', done);
  }

  endInput(): void {
    if (this.#started.input?.writable) this.#started.endInput();
  }

  resize(size: { cols: number; rows: number }): void {
    this.#started.resize(size);
  }

  /** To the whole group. Throws `conflict` once it has exited: the number may be another's by now. */
  signal(name: NodeJS.Signals): void {
    if (!this.running || !signalGroup(this.#started.pid, name)) {
      throw new BerthError('conflict', `process ${this.id} has exited`);
    }
  }

  hold(holder: object): void {
    this.#holders.add(holder);
    for (const { stream } of this.#started.outputs) stream.pause();
  }

  release(holder: object): void {
    if (!this.#holders.delete(holder) || this.#holders.size > 0) return;
    for (const { stream } of this.#started.outputs) stream.resume();
  }

  async #finish(): Promise<void> {
    const { exitCode, signal } = await this.#started.exited;
    this.#exit = { exitCode, signal, at: new Date().toISOString() };
    await outputEnd(this.#started.outputs.map(({ stream }) => stream));
    this.#ended = true;
    this.emit('end');
  }
}
