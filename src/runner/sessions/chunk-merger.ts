import type { AgentUpdate } from '../../protocol/events.ts';
import { after, type Clock } from './clock.ts';

/** Chunks of one message that come within this of the one before it are merged. */
const windowMs = 30;
const maxMergedLength = 32 * 1024;

/**
 * Merges floods of text chunks. States:
 * - *open*: no window runs. A chunk passes at once, so that a first word is not delayed, and opens a window.
 * - *holding*: a window runs. Chunks of the same message are joined; the window's end, another update, or
 *   too much text lets the joined chunk through. A window that ends with nothing held leads back to *open*.
 */
export class ChunkMerger {
  readonly #clock: Clock;
  readonly #emit: (update: AgentUpdate) => void;
  #held: { update: AgentUpdate; key: string; texts: string[]; length: number } | null = null;
  #cancelWindow: (() => void) | null = null;

  constructor(clock: Clock, emit: (update: AgentUpdate) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  push(update: AgentUpdate): void {
    const text = mergeableText(update);
    if (text === null) {
      this.flush();
      this.#emit(update);
      return;
    }
    const key = identity(update);
    if (this.#held !== null && this.#held.key !== key) this.flush();
    if (this.#cancelWindow === null) {
      this.#emit(update);
      this.#openWindow();
      return;
    }
    this.#held ??= { update, key, texts: [], length: 0 };
    this.#held.texts.push(text);
    this.#held.length += text.length;
    if (this.#held.length >= maxMergedLength) this.flush();
  }

  /** Lets go of what is held, before anything that must come after it. */
  flush(): void {
    const held = this.#held;
    this.#held = null;
    if (held === null) return;
    const content = held.update['content'] as object;
    this.#emit({ ...held.update, content: { ...content, text: held.texts.join('') } });
  }

  #openWindow(): void {
    this.#cancelWindow = after(this.#clock, windowMs, () => {
      this.#cancelWindow = null;
      if (this.#held === null) return;
      this.flush();
      this.#openWindow();
    });
  }
}

function mergeableText(update: AgentUpdate): string | null {
  if (update.sessionUpdate !== 'agent_message_chunk' && update.sessionUpdate !== 'agent_thought_chunk') return null;
  const content = update['content'] as { type?: unknown; text?: unknown } | null | undefined;
  return content?.type === 'text' && typeof content.text === 'string' ? content.text : null;
}

/** Everything of a chunk but its text: chunks that agree in it belong to one message. */
function identity(update: AgentUpdate): string {
  return JSON.stringify({ ...update, content: { ...(update['content'] as object), text: '' } });
}
