import { createHmac, timingSafeEqual } from 'node:crypto';
import type { z } from 'zod';

/** Facts that this installation signed, for one purpose each; readable by whoever has them, not to be changed. */
export interface SignedClaims<Claims> {
  sign(purpose: string, claims: Claims): string;
  /** `null` for what was not signed here, or for another purpose. */
  open(purpose: string, text: string): Claims | null;
}

export function createSignedClaims<Claims>(secret: Uint8Array, schema: z.ZodType<Claims>): SignedClaims<Claims> {
  const mac = (purpose: string, body: string): string => createHmac('sha256', secret).update(`${purpose}\n${body}`).digest('base64url');
  return {
    sign(purpose, claims) {
      const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
      return `${body}.${mac(purpose, body)}`;
    },
    open(purpose, text) {
      const [body = '', signature = ''] = text.split('.');
      const expected = Buffer.from(mac(purpose, body));
      const given = Buffer.from(signature);
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
      return schema.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
    },
  };
}
