import type { Quota, QuotaView } from '../../protocol/quota.ts';
import type { QuotaSubject } from '../../protocol/quota-subject.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { Dependencies } from '../dependencies.ts';
import { slotHolding } from '../sandboxes/slots.ts';
import { countsAgainst } from './subjects.ts';

/** What quotas there are, and how much of them is used. */
export interface QuotaService {
  /** Throws `not_found` for a user or team that there is not. */
  show(subject: QuotaSubject): Promise<QuotaView>;
  /** `null`: the server's alone. What is awake already stays awake. */
  set(subject: QuotaSubject, quota: Quota | null, by: string): Promise<QuotaView>;
}

export function createQuotaService(
  { store, clock, settings }: Pick<Dependencies, 'store' | 'clock' | 'settings'>,
  onChanged: () => void,
): QuotaService {
  async function show(subject: QuotaSubject): Promise<QuotaView> {
    const { kind, name } = subject;
    const found = kind === 'user' ? await store.read.user(name) : await store.read.team(name);
    if (found === null) {
      throw new BerthError('not_found', `there is no ${kind} ${name}`, { field: kind === 'user' ? 'user' : 'team' });
    }
    const records = await store.read.quotas();
    const held = await store.read.slotHolders(slotHolding);
    return {
      subject,
      quota: records.find((record) => record.subject.kind === kind && record.subject.name === name)?.quota ?? null,
      serverDefault: settings.quotas[kind],
      used: {
        slots: held.filter((holder) => countsAgainst(subject, holder)).length,
        ...(await store.read.sessionTotals(subject)),
      },
    };
  }

  return {
    show,
    async set(subject, quota, by) {
      await show(subject);
      await store.transaction(async (tx) => {
        const at = clock.now().toISOString();
        await tx.saveQuota(subject, quota, at);
        const { kind, name } = subject;
        await tx.appendAudit([
          { at, actor: actorOf(by), action: 'quota.set', target: name, sessionId: null, detail: { kind, quota } },
        ]);
      });
      onChanged();
      return show(subject);
    },
  };
}
