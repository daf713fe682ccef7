import type { PermissionOption } from '../../../src/sdk/index.ts';
import type { ToolCall } from './tool-call.ts';

/**
 * What a conversation is made of, as a person reads it. An item is never changed: news about it make a new one with the
 * same `key`, so that only what changed is drawn again.
 */
export type Item =
  | {
      kind: 'prompt';
      key: string;
      turnId: string | null;
      at: string;
      by: string;
      parts: readonly PromptPart[];
      queue: QueuePlace | null;
    }
  | { kind: 'text'; key: string; text: string }
  | { kind: 'thought'; key: string; text: string }
  | { kind: 'image'; key: string; mimeType: string; data: string }
  | { kind: 'tool'; key: string; call: ToolCall }
  | { kind: 'plan'; key: string; entries: readonly PlanEntry[] }
  | {
      kind: 'permission';
      key: string;
      requestId: string;
      call: ToolCall;
      options: readonly PermissionOption[];
      expiresAt: string;
      answer: Answer | null;
    }
  | {
      kind: 'note';
      key: string;
      tone: 'quiet' | 'good' | 'warn' | 'bad';
      text: string;
      detail: string | null;
      href: string | null;
    }
  | { kind: 'snapshot'; key: string; snapshotId: string; name: string; at: string; by: string }
  | {
      kind: 'end';
      key: string;
      outcome: 'completed' | 'cancelled' | 'failed';
      tookMs: number | null;
      tokens: number;
      stopReason: string | null;
      error: string | null;
    };

export type ItemKind = Item['kind'];

export interface PromptPart {
  type: string;
  text: string;
  image: { mimeType: string; data: string } | null;
}

export interface QueuePlace {
  position: number;
  estimatedWaitSeconds: number;
}

export interface PlanEntry {
  content: string;
  status: 'pending' | 'in_progress' | 'completed';
}

export interface Answer {
  outcome: 'selected' | 'cancelled' | 'expired';
  name: string | null;
  by: string | null;
}
