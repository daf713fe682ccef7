import type { Rotation } from '../../protocol/keys.ts';

/** Seals texts that leave the server and come back, such as links, with the installation's key. */
export interface SecretBox {
  seal(plaintext: string): string;
  /** Throws `internal` when the text was not sealed by this key. */
  open(sealed: string): string;
}

/** Where a secret is stored. It opens there and nowhere else. */
export interface SecretPlace {
  table: string;
  row: string;
  column: string;
}

/**
 * Seals what is stored, by envelope encryption: each text with a data key, which is stored too, wrapped by a key that
 * never enters the database. Every sealed text names its data key.
 */
export interface SecretVault {
  seal(plaintext: string, place: SecretPlace): Promise<string>;
  /** Throws `internal` for a text that was altered or moved, or whose key is not to be had. */
  open(sealed: string, place: SecretPlace): Promise<string>;
  /**
   * Seals every stored secret anew with a new data key, wrapped by the first wrapper. It may be stopped at any instant and
   * run again: what was sealed before and what is sealed already both open all the time.
   */
  rotate(signal: AbortSignal): Promise<Rotation>;
}

/** What data keys are wrapped by: a key file, or a key management service. */
export interface KeyWrapper {
  /** Stored beside what it wrapped, so that it is found again. */
  readonly id: string;
  /** `dataKeyId` is bound into the result where the wrapper can. Throws `unavailable`. */
  wrap(dataKey: Uint8Array, dataKeyId: string, signal: AbortSignal): Promise<string>;
  /** Throws `unavailable`, or `internal` for what it did not wrap. */
  unwrap(wrapped: string, dataKeyId: string, signal: AbortSignal): Promise<Uint8Array>;
}
