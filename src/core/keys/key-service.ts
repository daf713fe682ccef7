import type { CreateKeyRequest, ModelApi, ModelKeyView, Rotation } from '../../protocol/keys.ts';
import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import { actorOf } from '../audit/actor.ts';
import type { Clock } from '../ports/clock.ts';
import type { SecretVault } from '../ports/secrets.ts';
import type { ModelKeyRecord, Store } from '../ports/store.ts';
import type { Principal } from '../users/principal.ts';
import { teamRights } from '../users/rights.ts';
import { sealSecret } from './stored-secret.ts';

/** Credentials for models: kept, listed and deleted, never shown. */
export interface KeyService {
  /** Those of the caller, of their teams, and the server's; the owner of the installation sees all. */
  list(principal: Principal): Promise<ModelKeyView[]>;
  /** The APIs that the caller's own sessions have a key for: theirs, the server's, or its environment's. Not what only a team's have. */
  usableApis(principal: Principal): Promise<ReadonlySet<ModelApi>>;
  /** Throws `conflict` for a name that is taken, `forbidden` for what is not the caller's to set. */
  create(principal: Principal, request: CreateKeyRequest): Promise<ModelKeyView>;
  delete(principal: Principal, id: string): Promise<void>;
  /** Seals every stored secret with a new data key; for the owner of the installation. */
  rotate(principal: Principal, signal: AbortSignal): Promise<Rotation>;
}

export function createKeyService(deps: {
  store: Store;
  vault: SecretVault;
  clock: Clock;
  /** What the server's environment has a key for. */
  environmentApis: readonly ModelApi[];
}): KeyService {
  const { store, vault, clock, environmentApis } = deps;

  async function requireMay(principal: Principal, { scope, subject }: Pick<ModelKeyRecord, 'scope' | 'subject'>): Promise<void> {
    if (principal.role === 'owner' || (scope === 'user' && subject === principal.user)) return;
    if (scope === 'team' && (await teamRights(store.read, principal, subject)).has('manage')) return;
    const whose = scope === 'server' ? 'the owner of the installation' : `the owner of the team ${subject}`;
    throw new BerthError('forbidden', `this key is for ${whose} to set`, { field: 'scope' });
  }

  function subjectOf(principal: Principal, { scope, team }: CreateKeyRequest): string {
    if (scope === 'team' && team === undefined) {
      throw new BerthError('invalid_request', 'name the team that the key is for', { field: 'team' });
    }
    if (scope !== 'team' && team !== undefined) {
      throw new BerthError('invalid_request', 'a team goes with the scope team', { field: 'team' });
    }
    return scope === 'user' ? principal.user : scope === 'team' ? team! : '';
  }

  /** The server connects there itself, so an address is as much as a way into its own network. */
  function requireAddresses(principal: Principal, { baseUrl, secret }: CreateKeyRequest): void {
    if ('accessToken' in secret && secret.refreshToken !== undefined && secret.tokenUrl === undefined) {
      throw new BerthError('invalid_request', 'a refresh token needs the address that it is sent to', { field: 'secret.tokenUrl' });
    }
    if (principal.role === 'owner') return;
    const field = baseUrl !== undefined ? 'baseUrl' : 'tokenUrl' in secret ? 'secret.tokenUrl' : null;
    if (field !== null) throw new BerthError('forbidden', 'an address is for the owner of the installation to name', { field });
  }

  return {
    async list(principal) {
      if (principal.role === 'owner') return (await store.read.modelKeys()).map(viewKey);
      const teams = (await store.read.teamMembers({ member: principal.user })).map(({ team }) => team);
      return (await store.read.modelKeys({ user: principal.user, teams })).map(viewKey);
    },

    async usableApis(principal) {
      const kept = await store.read.modelKeys({ user: principal.user, teams: [] });
      return new Set([...environmentApis, ...kept.map(({ api }) => api)]);
    },

    async create(principal, request) {
      const { name, api, scope, baseUrl, secret } = request;
      const subject = subjectOf(principal, request);
      await requireMay(principal, { scope, subject });
      requireAddresses(principal, request);
      const id = newId('modelKey');
      const isApiKey = 'apiKey' in secret;
      const sealed = await sealSecret(
        vault,
        id,
        isApiKey ? secret : { accessToken: secret.accessToken, refreshToken: secret.refreshToken ?? null },
      );
      const at = clock.now().toISOString();
      const record: ModelKeyRecord = {
        id,
        scope,
        subject,
        name,
        api,
        baseUrl: baseUrl ?? null,
        kind: isApiKey ? 'api_key' : 'oauth',
        sealed,
        expiresAt: isApiKey ? null : (secret.expiresAt ?? null),
        tokenUrl: isApiKey ? null : (secret.tokenUrl ?? null),
        clientId: isApiKey ? null : (secret.clientId ?? null),
        renewingUntil: null,
        createdAt: at,
        updatedAt: at,
      };
      await store.transaction(async (tx) => {
        const same = (await tx.modelKeys()).find((each) => each.scope === scope && each.subject === subject && each.name === name);
        if (same !== undefined) throw new BerthError('conflict', `there is a key ${name} already`, { field: 'name' });
        await tx.insertModelKey(record);
        const actor = actorOf(principal.user);
        const detail = { api, scope, subject };
        await tx.appendAudit([{ at, actor, action: 'model_key.created', target: name, sessionId: null, detail }]);
      });
      return viewKey(record);
    },

    async delete(principal, id) {
      const key = await store.read.modelKey(id);
      // What the caller may not see is not there.
      const seen = key === null ? [] : await this.list(principal);
      if (key === null || !seen.some((each) => each.id === id)) {
        throw new BerthError('not_found', `there is no key ${id}`, { field: 'id' });
      }
      await requireMay(principal, key);
      await store.transaction(async (tx) => {
        await tx.deleteModelKey(id);
        const { api, scope, subject } = key;
        const at = clock.now().toISOString();
        const actor = actorOf(principal.user);
        await tx.appendAudit([
          { at, actor, action: 'model_key.deleted', target: key.name, sessionId: null, detail: { api, scope, subject } },
        ]);
      });
    },

    async rotate(principal, signal) {
      const rotation = await vault.rotate(signal);
      await store.transaction((tx) =>
        tx.appendAudit([
          {
            at: clock.now().toISOString(),
            actor: actorOf(principal.user),
            action: 'secrets.rotated',
            target: rotation.keyId,
            sessionId: null,
            detail: { resealed: rotation.resealed, removed: rotation.removed },
          },
        ]),
      );
      return rotation;
    },
  };
}

function viewKey(key: ModelKeyRecord): ModelKeyView {
  const { id, name, api, scope, subject, baseUrl, kind, expiresAt, createdAt, updatedAt } = key;
  const renews = key.tokenUrl !== null;
  return { id, name, api, scope, subject: scope === 'server' ? null : subject, baseUrl, kind, expiresAt, renews, createdAt, updatedAt };
}
