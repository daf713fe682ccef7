/** What one answer has said of itself so far. Tokens are totals, not increments. */
export interface SeenUsage {
  model: string | null;
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  /** Whether the answer said what went in, and what came out in the end. */
  hasInput: boolean;
  isFinal: boolean;
  /** Characters of generated text seen, for when the answer never says. */
  textChars: number;
}

export function nothingSeen(): SeenUsage {
  return {
    model: null,
    inputTokens: 0,
    outputTokens: 0,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    hasInput: false,
    isFinal: false,
    textChars: 0,
  };
}

/** Takes one JSON document of an answer (all of it, or one event of its stream) into what was seen. Never throws. */
export type ReadUsage = (seen: SeenUsage, document: unknown) => void;

/** Beyond this a figure is a fault of the upstream's, not a count of tokens. */
const maxTokens = 1_000_000_000;

export function tokens(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= maxTokens ? value : null;
}

/** An object's own field; anything else has none. */
export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

export function path(value: unknown, ...names: string[]): unknown {
  return names.reduce(field, value);
}

export function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function length(value: unknown): number {
  return typeof value === 'string' ? value.length : 0;
}

/** What may be kept as a model's name: short, and without what a terminal or a log would act on. */
const modelName = /^[\x21-\x7e]{1,200}$/;

export function seeModel(seen: SeenUsage, value: unknown): void {
  if (typeof value === 'string' && modelName.test(value)) seen.model = value;
}
