import { z } from 'zod';
import { token, tokenScope } from './users-api.ts';

/**
 * The API's part about letting in programs that have no browser, in the shape of RFC 8628: the program shows a code, somebody
 * who is signed in types it on the web page and sees what it grants. Rules of `api.ts` hold.
 *
 * | route | body -> answer |
 * |---|---|
 * | POST /api/device-requests (no token) | `deviceRequestInput` -> 201 `deviceStart` |
 * | POST /api/device-tokens (no token) | `deviceTokenRequest` -> `deviceAnswer`; to be asked no more often than `intervalSeconds` |
 * | GET /api/device-requests/:code | -> `deviceRequest`; `not_found` for a code that is not, was answered, or has ended |
 * | POST /api/device-requests/:code | `deviceDecision` -> 204 |
 * | DELETE /api/token | -> 204: the very token that asks is revoked |
 */
export const deviceRequestInput = z.strictObject({
  /** As the program calls itself: it is shown to the person who decides. */
  client: z.string().trim().min(1).max(100),
  scopes: z.array(tokenScope).min(1).max(tokenScope.options.length).default(['manage']),
});
export type DeviceRequestInput = z.input<typeof deviceRequestInput>;

export const deviceStart = z.object({
  /** The program's own secret: it gets the token by it, once. */
  deviceCode: z.string(),
  /** For the person: `BCDF-GHJK`. */
  userCode: z.string(),
  /** The page that takes the code. */
  url: z.string(),
  /** The same with the code in it. */
  completeUrl: z.string(),
  expiresAt: z.iso.datetime(),
  intervalSeconds: z.number().int().positive(),
});
export type DeviceStart = z.infer<typeof deviceStart>;

export const deviceTokenRequest = z.strictObject({ deviceCode: z.string().min(1).max(200) });

export const deviceAnswer = z.discriminatedUnion('state', [
  z.object({ state: z.literal('waiting') }),
  z.object({ state: z.literal('denied') }),
  /** Too late, or handed out before. */
  z.object({ state: z.literal('ended') }),
  z.object({ state: z.literal('granted'), token, secret: z.string() }),
]);
export type DeviceAnswer = z.infer<typeof deviceAnswer>;

/** As who decides sees it. */
export const deviceRequest = z.object({
  client: z.string(),
  /** Where it asked from. */
  address: z.string(),
  scopes: z.array(tokenScope),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  /** Until when the token would be good. */
  tokenDays: z.number().int().positive(),
});
export type DeviceRequest = z.infer<typeof deviceRequest>;

export const deviceDecision = z.strictObject({ allow: z.boolean() });
