import { createHmac, timingSafeEqual } from 'node:crypto';

const pattern = /^sha256=[0-9a-f]{64}$/;

/**
 * Checks `X-Hub-Signature-256` over the bytes as they came, in constant time.
 * https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
 */
export function isSigned(secret: string, body: Uint8Array, signature: string | null): boolean {
  if (signature === null || !pattern.test(signature)) return false;
  const expected = createHmac('sha256', secret).update(body).digest();
  return timingSafeEqual(expected, Buffer.from(signature.slice('sha256='.length), 'hex'));
}
