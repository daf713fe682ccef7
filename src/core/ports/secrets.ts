/** Seals secrets at rest with the installation's key. */
export interface SecretBox {
  seal(plaintext: string): string;
  /** Throws `internal` when the text was not sealed by this key. */
  open(sealed: string): string;
}
