import { client, messageOf } from '../api.ts';

let failure: string | null = null;

/** Why the link that brought the person here did not sign them in. */
export function linkFailure(): string | null {
  return failure;
}

/** Exchanges a sign-in link's code for the cookie, and takes it out of the address before anything else sees it. */
export async function redeemLink(): Promise<void> {
  const code = new URLSearchParams(window.location.hash.slice(1)).get('code');
  if (code === null) return;
  window.history.replaceState(null, '', window.location.pathname + window.location.search);
  try {
    await client.login({ code });
  } catch (error) {
    failure = messageOf(error);
  }
}
