import { createHash, randomBytes, randomInt } from 'node:crypto';
import type { DeviceAnswer, DeviceRequest } from '../../protocol/device-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { TokenScope } from '../../protocol/users-api.ts';
import { actorOf } from '../audit/actor.ts';
import type { DeviceRequestRecord, StoreReads } from '../ports/store.ts';
import { viewToken } from './token-service.ts';
import { issueToken } from './tokens.ts';
import type { UserServiceOptions } from './user-service.ts';

/**
 * Letting in programs that have no browser, in the shape of RFC 8628. A request waits until somebody who is signed in has typed
 * its code and decided; then its program gets the token, once. Whatever happens, it ends after ten minutes.
 */
export interface DeviceService {
  /** Throws `unavailable` when too many wait. */
  begin(asked: { client: string; scopes: readonly TokenScope[]; address: string }): Promise<StartedDevice>;
  /** Throws `not_found` for a code that is not, was answered, or has ended. */
  find(userCode: string): Promise<DeviceRequest>;
  /** Throws as `find`. */
  decide(userCode: string, allow: boolean, by: string): Promise<void>;
  /** The token is in one answer alone. */
  poll(deviceCode: string): Promise<DeviceAnswer>;
}

export interface StartedDevice {
  deviceCode: string;
  userCode: string;
  expiresAt: Date;
}

const lifeMs = 10 * 60_000;
const tokenDays = 90;
const dayMs = 24 * 60 * 60_000;
/**
 * Section 6.1: no vowels, so no words, and nothing that looks like something else. Eight of twenty letters are 2^34 codes: with so
 * many waiting as may, and guesses at the rate of sign-in, a thousand users guess for a century.
 */
const alphabet = 'BCDFGHJKLMNPQRSTVWXZ';
const codeLength = 8;
const maxWaiting = 500;

export function createDeviceService({ store, clock }: Pick<UserServiceOptions, 'store' | 'clock'>): DeviceService {
  const iso = (at: Date) => at.toISOString();

  async function require(reads: Pick<StoreReads, 'deviceRequestByCode'>, userCode: string): Promise<DeviceRequestRecord> {
    const found = await reads.deviceRequestByCode(hash('user', plainCode(userCode)));
    if (found === null || found.state !== 'waiting' || found.expiresAt <= iso(clock.now())) {
      const message = 'no program waits with this code: check it, or run berth login again, for a code is good for ten minutes';
      throw new BerthError('not_found', message, { field: 'code' });
    }
    return found;
  }

  return {
    async begin({ client, scopes, address }) {
      const deviceCode = randomBytes(32).toString('base64url');
      const letters = Array.from({ length: codeLength }, () => alphabet[randomInt(alphabet.length)]).join('');
      const at = clock.now();
      const expiresAt = new Date(at.getTime() + lifeMs);
      await store.transaction(async (tx) => {
        await tx.deleteDeviceRequestsUntil(iso(at));
        if ((await tx.deviceRequestCount()) >= maxWaiting) {
          throw new BerthError('unavailable', 'too many programs wait to be let in; try again in some minutes');
        }
        await tx.insertDeviceRequest({
          deviceHash: hash('device', deviceCode),
          codeHash: hash('user', letters),
          client,
          address,
          scopes: [...new Set(scopes)],
          state: 'waiting',
          owner: null,
          createdAt: iso(at),
          expiresAt: iso(expiresAt),
        });
      });
      return { deviceCode, userCode: `${letters.slice(0, 4)}-${letters.slice(4)}`, expiresAt };
    },

    async find(userCode) {
      const { client, address, scopes, createdAt, expiresAt } = await require(store.read, userCode);
      return { client, address, scopes, createdAt, expiresAt, tokenDays };
    },

    async decide(userCode, allow, by) {
      await store.transaction(async (tx) => {
        const { deviceHash, client, address, scopes } = await require(tx, userCode);
        await tx.updateDeviceRequest(deviceHash, { state: allow ? 'approved' : 'denied', owner: by });
        const detail = { client, address, scopes, allowed: allow };
        await tx.appendAudit([
          { at: iso(clock.now()), actor: actorOf(by), action: 'device.answered', target: by, sessionId: null, detail },
        ]);
      });
    },

    async poll(deviceCode) {
      const deviceHash = hash('device', deviceCode);
      const at = clock.now();
      const undecided = (found: DeviceRequestRecord | null): DeviceAnswer | null =>
        found === null || found.expiresAt <= iso(at) ? { state: 'ended' } : found.state === 'waiting' ? { state: 'waiting' } : null;
      const waiting = undecided(await store.read.deviceRequest(deviceHash));
      if (waiting !== null) return waiting;
      return store.transaction(async (tx): Promise<DeviceAnswer> => {
        const found = await tx.deviceRequest(deviceHash);
        if (found === null) return { state: 'ended' };
        await tx.deleteDeviceRequest(found.deviceHash);
        const owner = found.owner === null ? null : await tx.user(found.owner);
        if (found.state === 'denied' || owner === null || owner.disabledAt !== null) return { state: 'denied' };
        const expiresAt = iso(new Date(at.getTime() + tokenDays * dayMs));
        const asked = { name: `berth login: ${found.client}`, owner: owner.handle, scopes: found.scopes, expiresAt };
        const { token, record } = await issueToken(tx, asked, at, owner.handle);
        return { state: 'granted', token: viewToken(record), secret: token };
      });
    },
  };
}

/** As people type it: small letters, other or no dashes, spaces. */
function plainCode(userCode: string): string {
  return userCode.toUpperCase().replace(/[^A-Z]/g, '');
}

function hash(kind: 'device' | 'user', code: string): string {
  return createHash('sha256').update(`${kind}\n${code}`).digest('hex');
}
