import type { SlotQuota } from '../../protocol/quota-subject.ts';
import type { StoreReads } from '../ports/store.ts';
import { quotaOf, subjectsOf, type QuotaDefaults, type QuotaHolder } from './subjects.ts';

/**
 * How many sandboxes each user and team may have awake. Pure once read: the claim, the places in the queue and the
 * estimates all ask it, so they cannot disagree.
 */
export interface SlotQuotas {
  /** Those that a session of this holder needs room in. */
  of(holder: QuotaHolder): readonly SlotQuota[];
}

export async function readSlotQuotas(
  reads: Pick<StoreReads, 'quotas'>,
  defaults: QuotaDefaults,
): Promise<SlotQuotas> {
  return slotQuotas(await reads.quotas(), defaults);
}

export function slotQuotas(records: Awaited<ReturnType<StoreReads['quotas']>>, defaults: QuotaDefaults): SlotQuotas {
  const known = new Map<string, readonly SlotQuota[]>();
  const isAny = [defaults.user, defaults.team, ...records.map(({ quota }) => quota)].some(({ slots }) => slots !== undefined);
  // A queue of thousands is not to pay for what nobody has set.
  if (!isAny) return { of: () => [] };
  return {
    of(holder) {
      const key = JSON.stringify([holder.owner, holder.team]);
      let found = known.get(key);
      if (found === undefined) {
        found = subjectsOf(holder).flatMap((subject) => {
          const { slots } = quotaOf(subject, records, defaults);
          return slots === undefined ? [] : [{ ...subject, slots }];
        });
        known.set(key, found);
      }
      return found;
    },
  };
}

/** Counts what is held, and says whose quota is full. */
export class SlotCount {
  readonly #quotas: SlotQuotas;
  readonly #held = new Map<string, number>();

  constructor(quotas: SlotQuotas, held: Iterable<QuotaHolder> = []) {
    this.#quotas = quotas;
    for (const holder of held) this.add(holder, 1);
  }

  add(holder: QuotaHolder, change: 1 | -1): void {
    for (const each of this.#quotas.of(holder)) this.#held.set(keyOf(each), this.#count(each) + change);
  }

  /** The quota that leaves no room for one more; `null`: none. */
  full(holder: QuotaHolder): SlotQuota | null {
    return this.#quotas.of(holder).find((each) => this.#count(each) >= each.slots) ?? null;
  }

  #count(quota: SlotQuota): number {
    return this.#held.get(keyOf(quota)) ?? 0;
  }
}

function keyOf({ kind, name }: SlotQuota): string {
  return `${kind} ${name}`;
}
