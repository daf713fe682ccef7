import { Webhook } from 'standardwebhooks';

/**
 * The headers of the Standard Webhooks scheme (https://www.standardwebhooks.com): the signature is over
 * `id.timestamp.payload`, so the receiver can refuse what was changed, is old, or came before.
 * `secret`: `whsec_` and the key in base64.
 */
export function signWebhook(secret: string, id: string, at: Date, payload: string): Record<string, string> {
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, at, payload),
  };
}
