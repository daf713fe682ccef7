import { randomBytes } from 'node:crypto';
import type { Clock } from '../../core/ports/clock.ts';
import type { KeyWrapper, SecretBox, SecretPlace, SecretVault } from '../../core/ports/secrets.ts';
import type { DataKeyRecord, Store } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import type { Rotation } from '../../protocol/keys.ts';
import { keyBytes, notSealed, openBytes, sealBytes } from './sealing.ts';

/**
 * A data key is `active` (the newest one: what is sealed is sealed with it) or retired (`retiredAt` is set: it only opens
 * what was sealed before). A rotation makes an active one and retires the others in one transaction, then seals what there
 * is anew, value by value, each replaced only if it is still what was read. A retired key that nothing is sealed with is
 * removed once no server can have it in mind any more.
 */

export interface VaultOptions {
  store: Store;
  /** The first wraps; all unwrap. */
  wrappers: readonly KeyWrapper[];
  /** Opens what versions before data keys sealed. */
  legacy: SecretBox;
  clock: Clock;
}

/** For how long a server may seal with a key that another has retired. */
const activeForMs = 60_000;
const removeAfterMs = 10 * 60_000;
const wrapTimeoutMs = 60_000;

const format = /^v2\.(dky_[0-9a-z]+)\.([A-Za-z0-9_-]+)$/;

/** Makes the first data key where there is none. Throws when the active one cannot be unwrapped: better now than at the first use. */
export async function createSecretVault(options: VaultOptions): Promise<SecretVault> {
  const { store, wrappers, legacy, clock } = options;
  const opened = new Map<string, Uint8Array>();
  let active: { id: string; untilMs: number } | null = null;

  const timeout = () => AbortSignal.timeout(wrapTimeoutMs);

  async function unwrap({ id, wrapper, wrapped }: DataKeyRecord): Promise<Uint8Array> {
    const known = opened.get(id);
    if (known !== undefined) return known;
    const by = wrappers.find((each) => each.id === wrapper);
    if (by === undefined) {
      throw new BerthError('internal', `the data key ${id} was wrapped by ${wrapper}, which is not configured`, {
        context: { keyId: id, wrapper },
      });
    }
    const key = await by.unwrap(wrapped, id, timeout());
    opened.set(id, key);
    return key;
  }

  async function keyOf(id: string): Promise<Uint8Array> {
    const known = opened.get(id);
    if (known !== undefined) return known;
    const record = (await store.read.dataKeys()).find((each) => each.id === id);
    if (record === undefined) throw notSealed(`there is no data key ${id}`);
    return unwrap(record);
  }

  /** Makes a data key the active one. `ifNone`: unless there is one already. */
  async function makeActive(signal: AbortSignal, ifNone: boolean): Promise<string> {
    const wrapper = wrappers[0]!;
    const id = newId('dataKey');
    const key = randomBytes(keyBytes);
    const wrapped = await wrapper.wrap(key, id, signal);
    // What cannot be unwrapped again must not seal anything.
    if (!key.equals(await wrapper.unwrap(wrapped, id, signal))) throw notSealed(`${wrapper.id} does not give back what it wrapped`);
    const at = clock.now().toISOString();
    const found = await store.transaction(async (tx) => {
      const before = (await tx.dataKeys()).filter((each) => each.retiredAt === null);
      if (ifNone && before.length > 0) return before.at(-1)!.id;
      for (const each of before) await tx.retireDataKey(each.id, at);
      await tx.insertDataKey({ id, wrapper: wrapper.id, wrapped, createdAt: at, retiredAt: null });
      return id;
    });
    if (found === id) opened.set(id, key);
    active = { id: found, untilMs: clock.now().getTime() + activeForMs };
    return found;
  }

  async function activeId(): Promise<string> {
    if (active !== null && active.untilMs > clock.now().getTime()) return active.id;
    const newest = (await store.read.dataKeys()).filter((each) => each.retiredAt === null).at(-1);
    if (newest === undefined) return makeActive(timeout(), true);
    await unwrap(newest);
    active = { id: newest.id, untilMs: clock.now().getTime() + activeForMs };
    return newest.id;
  }

  async function seal(plaintext: string, place: SecretPlace): Promise<string> {
    const id = await activeId();
    return `v2.${id}.${sealBytes(await keyOf(id), Buffer.from(plaintext), contextOf(id, place))}`;
  }

  async function open(sealed: string, place: SecretPlace): Promise<string> {
    if (sealed.startsWith('v1.')) return legacy.open(sealed);
    const [, id, bytes] = format.exec(sealed) ?? [];
    if (id === undefined || bytes === undefined) throw notSealed('unknown format');
    return openBytes(await keyOf(id), bytes, contextOf(id, place)).toString('utf8');
  }

  async function removeUnused(): Promise<{ removed: number; kept: number }> {
    const limit = new Date(clock.now().getTime() - removeAfterMs).toISOString();
    return store.transaction(async (tx) => {
      const values = await tx.sealedValues();
      const retired = (await tx.dataKeys()).filter((each) => each.retiredAt !== null);
      let removed = 0;
      for (const { id, retiredAt } of retired) {
        if (retiredAt! > limit || values.some(({ sealed }) => sealed.startsWith(`v2.${id}.`))) continue;
        await tx.deleteDataKey(id);
        removed += 1;
      }
      return { removed, kept: retired.length - removed };
    });
  }

  await activeId();
  return {
    seal,
    open,
    async rotate(signal): Promise<Rotation> {
      const keyId = await makeActive(signal, false);
      let resealed = 0;
      for (const { place, sealed } of await store.read.sealedValues()) {
        signal.throwIfAborted();
        if (sealed.startsWith(`v2.${keyId}.`)) continue;
        const anew = await seal(await open(sealed, place), place);
        const replaced = await store.transaction((tx) => tx.replaceSealed(place, sealed, anew));
        if (replaced) resealed += 1;
      }
      return { keyId, resealed, ...(await removeUnused()) };
    },
  };
}

function contextOf(keyId: string, { table, row, column }: SecretPlace): string {
  return JSON.stringify(['v2', keyId, table, row, column]);
}
