/** Base64 of the wire to bytes and back, without Node's Buffer. */
export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  // `String.fromCharCode` takes its input as arguments, whose number engines limit.
  for (let at = 0; at < bytes.length; at += 8192) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(binary);
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
