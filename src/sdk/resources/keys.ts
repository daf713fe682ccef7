import { z } from 'zod';
import { modelKeyView, rotation, type CreateKeyInput, type ModelKeyView, type Rotation } from '../../protocol/keys.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** Credentials for models. What is secret goes in and never comes out. */
export interface KeysResource {
  list(options?: CallOptions): Promise<ModelKeyView[]>;
  create(input: CreateKeyInput, options?: CallOptions): Promise<ModelKeyView>;
  delete(id: string, options?: CallOptions): Promise<void>;
  /** Seals every stored secret with a new data key. May be stopped and run again. */
  rotate(options?: CallOptions): Promise<Rotation>;
}

export function createKeysResource(transport: Transport): KeysResource {
  const page = z.object({ keys: z.array(modelKeyView) });
  return {
    list: async (options) => (await transport.json(page, 'GET', '/api/keys', options)).keys,
    create: (input, options) => transport.json(modelKeyView, 'POST', '/api/keys', { json: input, ...options }),
    delete: (id, options) => transport.empty('DELETE', `/api/keys/${encodeURIComponent(id)}`, { idempotent: true, ...options }),
    rotate: (options) => transport.json(rotation, 'POST', '/api/keys/rotate', options),
  };
}
