import type { Transform } from 'node:stream';
import { limitBytes } from './limit-bytes.ts';

/** A request's body on its way to the upstream, untouched: bounded, and looked at as it passes. */
export interface RequestBody {
  /** Fails with `BodyTooLarge`. */
  stream: Transform;
  sizeBytes(): number;
  /** The model that the first bytes name, by their look; `null` when they name none. */
  model(): string | null;
}

/** Clients name the model first, or soon after. */
const headBytes = 16 * 1024;

export function createRequestBody(maxBytes: number): RequestBody {
  let sizeBytes = 0;
  let head = '';
  return {
    stream: limitBytes(maxBytes, (chunk) => {
      if (sizeBytes < headBytes) head += chunk.toString('latin1', 0, headBytes - sizeBytes);
      sizeBytes += chunk.length;
    }),
    sizeBytes: () => sizeBytes,
    model: () => /"model"\s*:\s*"([\x21\x23-\x5b\x5d-\x7e]{1,200})"/.exec(head)?.[1] ?? null,
  };
}
