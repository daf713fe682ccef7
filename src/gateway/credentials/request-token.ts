import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';

/** RFC 6749, 5.1; `refresh_token` is there when the old one is used up. */
const answer = z.object({
  access_token: z.string().min(1).max(16_384),
  refresh_token: z.string().min(1).max(16_384).optional(),
  expires_in: z.number().positive().max(10 * 365 * 86_400).optional(),
});

export interface RenewedToken {
  accessToken: string;
  refreshToken: string | null;
  expiresInSeconds: number | null;
}

const maxAnswerBytes = 256 * 1024;

/**
 * Asks a token endpoint for a new access token (RFC 6749, 6). Throws `forbidden` when it refuses the refresh token, for good,
 * and `unavailable` for whatever may pass. Nothing of the answer is in an error: it may quote tokens.
 */
export async function requestToken(
  { tokenUrl, clientId, refreshToken }: { tokenUrl: string; clientId: string | null; refreshToken: string },
  signal: AbortSignal,
): Promise<RenewedToken> {
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken });
  if (clientId !== null) form.set('client_id', clientId);
  const failure = (reason: string) => new BerthError('unavailable', `the token endpoint ${new URL(tokenUrl).host} ${reason}`);
  let response: Response;
  let text: string;
  try {
    response = await fetch(tokenUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: form.toString(),
      redirect: 'error',
      signal,
    });
    text = await readUpTo(response, maxAnswerBytes);
  } catch {
    throw failure('cannot be reached');
  }
  if (response.status === 400 || response.status === 401 || response.status === 403) {
    throw new BerthError('forbidden', `the token endpoint ${new URL(tokenUrl).host} refuses the refresh token (HTTP ${response.status})`);
  }
  if (!response.ok) throw failure(`answers HTTP ${response.status}`);
  const parsed = answer.safeParse(parseJson(text));
  if (!parsed.success) throw failure('gives no access token');
  const { access_token, refresh_token, expires_in } = parsed.data;
  return { accessToken: access_token, refreshToken: refresh_token ?? null, expiresInSeconds: expires_in ?? null };
}

async function readUpTo(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw new RangeError('too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
