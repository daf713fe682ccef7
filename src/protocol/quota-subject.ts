import { z } from 'zod';

/** Whose a quota is. */
export const quotaSubject = z.object({ kind: z.enum(['user', 'team']), name: z.string() });
export type QuotaSubject = z.infer<typeof quotaSubject>;

/** How many sandboxes may be awake at once. */
export const slotQuota = quotaSubject.extend({ slots: z.number().int() });
export type SlotQuota = z.infer<typeof slotQuota>;
