import { z } from 'zod';
import { priority } from './api.ts';
import { quotaSubject } from './quota-subject.ts';

/**
 * Quotas: how much of the installation a user, or a team's sessions together, may have. What models cost is limited by
 * budgets (`budget.ts`).
 */

/** What is not named has no limit. */
export const quota = z.strictObject({
  /** Sandboxes that are awake at once. Work beyond it waits in the queue. */
  slots: z.number().int().min(1).max(10_000).optional(),
  /** The highest that its turns may have. */
  priority: priority.optional(),
  sessions: z.number().int().min(0).max(1e6).optional(),
  /** Of the limits of its sessions' disks together. */
  diskBytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
});
export type Quota = z.infer<typeof quota>;

export const quotaView = z.object({
  subject: quotaSubject,
  /** Its own settings; `null`: none. */
  quota: quota.nullable(),
  /** What holds where it says nothing. */
  serverDefault: quota,
  used: z.object({
    slots: z.number().int().nonnegative(),
    sessions: z.number().int().nonnegative(),
    diskBytes: z.number().nonnegative(),
  }),
});
export type QuotaView = z.infer<typeof quotaView>;

export const setQuotaRequest = z.strictObject({ quota: quota.nullable() });

const unitBytes = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 } as const;
const form = 'slots=3,sessions=20,disk=200g,priority=normal';

/** `slots=3,sessions=20,disk=200g,priority=normal`; `k`, `m`, `g` and `t` are powers of 1024. Throws what zod throws, or `TypeError`. */
export function parseQuota(text: string): Quota {
  const found: Record<string, unknown> = {};
  for (const entry of text.split(',').map((each) => each.trim()).filter((each) => each !== '')) {
    const [, name, value = ''] = /^([a-z]+)=([a-z0-9.]+)$/.exec(entry) ?? [];
    const [, figure = '', unit = ''] = /^([0-9]+(?:\.[0-9]+)?)([kmgt]?)$/.exec(value) ?? [];
    const isFigure = figure !== '';
    if (name === 'priority') found['priority'] = value;
    else if ((name === 'slots' || name === 'sessions') && isFigure && unit === '') found[name] = Number(figure);
    else if (name === 'disk' && isFigure) found['diskBytes'] = Math.round(Number(figure) * (unit === '' ? 1 : unitBytes[unit as 'k']));
    else throw new TypeError(`"${entry}" is not as in ${form}`);
  }
  return quota.parse(found);
}

/**
 * | route | body -> answer |
 * |---|---|
 * | GET /api/quota | -> `quotaView` of the caller |
 * | GET, PUT /api/users/:user/quota | -> `quotaView`; `setQuotaRequest` -> `quotaView` |
 * | GET, PUT /api/teams/:team/quota | the same |
 */
