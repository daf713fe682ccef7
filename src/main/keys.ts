import { createHmac } from 'node:crypto';
import { readOrCreateKey } from '../store/key-file.ts';

/** Everything secret that is derived, not stored: each use has its own key from the installation's one. */
export interface DerivedKeys {
  runnerToken(sandboxId: string): string;
  placeholderSecret: Buffer;
  setupSecret: Buffer;
  /** Signs what servers of this installation forward to each other. */
  forwardingSecret: Buffer;
  /** Tells this key from another, and nothing of it. */
  keyCheck: string;
  browserLoginSecret: Buffer;
  previewSecret: Buffer;
  /** In the form of the Standard Webhooks scheme. */
  webhookSecret: string;
}

export async function deriveKeys(keyFilePath: string): Promise<DerivedKeys> {
  const master = await readOrCreateKey(keyFilePath);
  const derive = (purpose: string) => createHmac('sha256', master).update(`berth ${purpose} v1`).digest();
  const runnerSecret = derive('runner token');
  return {
    runnerToken: (sandboxId) => createHmac('sha256', runnerSecret).update(sandboxId).digest('base64url'),
    placeholderSecret: derive('placeholder key'),
    setupSecret: derive('set-up link'),
    forwardingSecret: derive('forwarded request'),
    keyCheck: derive('key check').toString('hex'),
    browserLoginSecret: derive('browser login'),
    previewSecret: derive('preview link'),
    webhookSecret: `whsec_${derive('webhook signature').toString('base64')}`,
  };
}
