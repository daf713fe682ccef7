import { z } from 'zod';

/** Templates of a server, and the jobs that make and push them. */

export const templateName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'lower-case letters, digits, ., _ and -, at most 63; the first a letter or digit');

/** Where a template comes from or goes to; `docs/guides/templates.md` has the forms. */
const place = z
  .string()
  .min(1)
  .max(1000)
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, 'printable ASCII');

export const buildTemplateRequest = z.strictObject({ from: place });
export type BuildTemplateRequest = z.infer<typeof buildTemplateRequest>;
export const pushTemplateRequest = z.strictObject({ to: place });
export type PushTemplateRequest = z.infer<typeof pushTemplateRequest>;

export const templateView = z.object({
  name: z.string(),
  /** What new sandboxes start from; `null` for the one that is made at first need. */
  version: z.string().nullable(),
  /** `null`: made of this machine itself. */
  from: z.string().nullable(),
  /** SHA-256 of each layer's archive, the lowest first. */
  layers: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  sizeBytes: z.number().int().nonnegative().nullable(),
  createdAt: z.iso.datetime().nullable(),
  /** All that are kept, this one too. */
  versions: z.array(z.string()),
  /** The providers of this server that have it. */
  providers: z.array(z.string()),
});
export type TemplateView = z.infer<typeof templateView>;
export const templateList = z.object({ templates: z.array(templateView) });

export const templateJobStatus = z.enum(['running', 'succeeded', 'failed', 'cancelled']);
export type TemplateJobStatus = z.infer<typeof templateJobStatus>;

export const templateJob = z.object({
  id: z.string(),
  kind: z.enum(['build', 'push']),
  template: z.string(),
  /** What it is built from, or where it is pushed to. */
  place: z.string(),
  status: templateJobStatus,
  by: z.string(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
  /** Of the template that it made or pushed. */
  version: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type TemplateJob = z.infer<typeof templateJob>;
export const templateJobList = z.object({ jobs: z.array(templateJob) });

/** What a job's stream has: the lines of its log, numbered from 1, and at last the job as it ended. */
export const templateJobEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('line'), seq: z.number().int().positive(), at: z.iso.datetime(), text: z.string() }),
  z.object({ type: z.literal('ended'), seq: z.number().int().positive(), job: templateJob }),
]);
export type TemplateJobEvent = z.infer<typeof templateJobEvent>;
