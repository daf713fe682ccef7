import type { SecretView, SetSecretRequest } from '../../protocol/secrets-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import { actorOf } from '../audit/actor.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { InjectedSecret, SecretControl } from '../ports/secret-control.ts';
import type { SecretPlace, SecretVault } from '../ports/secrets.ts';
import type { SecretHolder, SecretRecord, Store } from '../ports/store.ts';
import { createSecretUses } from './secret-uses.ts';

export interface SecretService extends SecretControl {
  /** By name. */
  list(holder: SecretHolder): Promise<SecretView[]>;
  /** Makes it or replaces it whole. */
  set(holder: SecretHolder, name: string, request: SetSecretRequest, by: string): Promise<SecretView>;
  /** Throws `not_found`. */
  remove(holder: SecretHolder, name: string, by: string): Promise<void>;
  close(): Promise<void>;
}

export interface SecretServiceOptions {
  store: Store;
  secrets: SecretVault;
  clock: Clock;
  logger: Logger;
}

const maxPerHolder = 200;

/** Secrets for other services: written by people, used by the gateway, read by nobody. */
export function createSecretService({ store, secrets, clock, logger }: SecretServiceOptions): SecretService {
  const uses = createSecretUses({ store, clock, logger });

  return {
    async list(holder) {
      return (await store.read.secrets(holder)).map(toView);
    },

    async set(holder, name, { value, ...shown }, by) {
      const at = clock.now().toISOString();
      // Known before it is sealed, since a secret opens at its own place only.
      const id = (await store.read.secrets(holder)).find((each) => each.name === name)?.id ?? newId('secret');
      const sealed = await secrets.seal(value, placeOf(id));
      return store.transaction(async (tx) => {
        const known = await tx.secrets(holder);
        const before = known.find((each) => each.name === name);
        if (before === undefined && known.length >= maxPerHolder) {
          throw new BerthError('conflict', `at most ${maxPerHolder} secrets`, { field: 'name' });
        }
        if (before !== undefined && before.id !== id) throw new BerthError('conflict', 'the secret was made by another call at once', { field: 'name' });
        const record: SecretRecord = { id, holder, name, ...shown, sealed, createdAt: before?.createdAt ?? at, updatedAt: at };
        await tx.upsertSecret(record);
        await tx.appendAudit([
          { at, actor: actorOf(by), action: 'secret.set', target: name, sessionId: null, detail: { ...detailOf(holder), ...shown } },
        ]);
        return toView(record);
      });
    },

    async remove(holder, name, by) {
      const at = clock.now().toISOString();
      await store.transaction(async (tx) => {
        const found = (await tx.secrets(holder)).find((each) => each.name === name);
        if (found === undefined) throw new BerthError('not_found', `there is no secret ${name}`, { field: 'name' });
        await tx.deleteSecret(found.id);
        await tx.appendAudit([{ at, actor: actorOf(by), action: 'secret.removed', target: name, sessionId: null, detail: detailOf(holder) }]);
      });
    },

    async secretsFor(sessionId, { host, port }) {
      const session = await store.read.session(sessionId);
      if (session === null || session.deletingAt !== null) return [];
      const holders: SecretHolder[] = [{ kind: 'user', name: session.owner }];
      if (session.team !== null) holders.push({ kind: 'team', name: session.team });
      const byHeader = new Map<string, InjectedSecret>();
      for (const holder of holders) {
        for (const record of await store.read.secrets(holder)) {
          if (!record.hosts.some((rule) => namesTarget(rule, host, port))) continue;
          const key = record.header.toLowerCase();
          if (!byHeader.has(key)) byHeader.set(key, toInjected(record, await secrets.open(record.sealed, placeOf(record.id))));
        }
      }
      return [...byHeader.values()];
    },

    recordUse: uses.record,
    close: uses.close,
  };
}

function placeOf(id: string): SecretPlace {
  return { table: 'secrets', row: id, column: 'sealed' };
}

function namesTarget(rule: string, host: string, port: number): boolean {
  const [name, rulePort = '443'] = rule.split(':');
  return name === host && Number(rulePort) === port;
}

function toInjected({ name, header, template }: SecretRecord, value: string): InjectedSecret {
  const base64 = Buffer.from(value).toString('base64');
  // By function: in a replacement's text `$` has a meaning.
  const headerValue = template.replace(/\{(value|base64)\}/, (_match, form) => (form === 'base64' ? base64 : value));
  return { name, header, headerValue, needles: [value, base64] };
}

function toView({ holder, name, hosts, header, template, createdAt, updatedAt }: SecretRecord): SecretView {
  return { name, ...(holder.kind === 'team' && { team: holder.name }), hosts: [...hosts], header, template, createdAt, updatedAt };
}

function detailOf(holder: SecretHolder): Record<string, unknown> {
  return holder.kind === 'team' ? { team: holder.name } : { user: holder.name };
}
