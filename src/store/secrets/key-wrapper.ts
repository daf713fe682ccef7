import { createHmac } from 'node:crypto';
import type { KeyWrapper } from '../../core/ports/secrets.ts';
import { readOrCreateKey } from '../key-file.ts';
import { keyBytes, notSealed, openBytes, sealBytes } from './sealing.ts';

/** Wraps with a key derived from the installation's own: the default, which needs nothing else. */
export async function createInstallationWrapper(keyFilePath: string): Promise<KeyWrapper> {
  return wrapperOf('installation', derive(await readOrCreateKey(keyFilePath)));
}

/** Wraps with the key in a file of its own, made when absent; known by its fingerprint, so that files may be moved. */
export async function createKeyFileWrapper(path: string): Promise<KeyWrapper> {
  const key = derive(await readOrCreateKey(path));
  const fingerprint = createHmac('sha256', key).update('berth key fingerprint v1').digest('hex').slice(0, 16);
  return wrapperOf(`file:${fingerprint}`, key);
}

function derive(master: Uint8Array): Buffer {
  return createHmac('sha256', master).update('berth key encryption key v1').digest();
}

function wrapperOf(id: string, key: Uint8Array): KeyWrapper {
  const context = (dataKeyId: string) => `berth data key ${dataKeyId}`;
  return {
    id,
    async wrap(dataKey, dataKeyId) {
      return sealBytes(key, dataKey, context(dataKeyId));
    },
    async unwrap(wrapped, dataKeyId) {
      const dataKey = openBytes(key, wrapped, context(dataKeyId));
      if (dataKey.length !== keyBytes) throw notSealed('not a data key');
      return dataKey;
    },
  };
}
