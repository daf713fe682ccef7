import { z } from 'zod';

/**
 * The API's part about browsers. Rules of `api.ts` hold.
 *
 * | route | body -> answer |
 * |---|---|
 * | POST /api/login (no token) | `loginRequest` -> `me`, and a cookie |
 * | POST /api/logout (no token) | -> 204, without the cookie |
 * | GET /api/me | -> `account` of `users-api.ts` |
 * | POST /api/login-links | -> 201 `loginLink` |
 */
export const loginRequest = z.union([
  /** From a sign-in link; good once. */
  z.strictObject({ code: z.string().min(1).max(1000) }),
  z.strictObject({ token: z.string().min(1).max(200) }),
]);
export type LoginRequest = z.infer<typeof loginRequest>;

export const me = z.object({ user: z.string() });
export type Me = z.infer<typeof me>;

export const loginLink = z.object({ url: z.string(), expiresAt: z.iso.datetime() });
export type LoginLink = z.infer<typeof loginLink>;
