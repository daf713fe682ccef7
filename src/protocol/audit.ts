import { z } from 'zod';

/**
 * The audit log: who did what, in the order in which it was stored. It is one chain over the whole installation, outlives
 * what it tells of, and holds names and counts, never a secret's value nor what a prompt or a file says.
 */

/** Every action that is recorded, with what its `target` and `detail` are. */
export const auditActions = {
  'session.created': 'target: the session; detail: agent, repository, branch, permissions',
  'session.updated': 'target: the session; detail: the fields that were changed',
  'session.deleted': 'target: the session',
  'session.forked': 'target: the new session; detail: what it was made from',
  'session.moved': 'target: the provider that is tried next; detail: the one that could not make its sandbox, and the code',
  'session.rested': 'target: the session; detail: the step that was asked for',
  'session.woken': 'target: the session',
  'prompt.sent': 'target: the turn; detail: its priority and size, not its words',
  'turn.interrupted': 'target: the turn, or the session when all of its turns are cancelled',
  'permission.answered': 'target: the request; detail: the tool, the option and its kind. By a session: what its runner says, which this server did not answer',
  'permission.policy_set': 'target: the session; detail: its mode and the names of its rules',
  'dead_letter.replayed': 'target: the failed turn; detail: the turn that repeats it',
  'snapshot.created': 'target: the snapshot; detail: its name and session',
  'snapshot.deleted': 'target: the snapshot; detail: its name',
  'process.started': 'target: the program; detail: how many arguments, and whether it has a terminal',
  'process.attached': 'target: the process: somebody reads its output and may write to it',
  'process.signalled': 'target: the process; detail: the signal',
  'file.read': 'target: the path',
  'file.written': 'target: the path; detail: the size in bytes',
  'file.changed': 'target: the path; detail: whether it was made, moved or removed',
  'port.opened': 'target: the port of the sandbox',
  'model_key.created': 'target: the name of the key; detail: for which API and whom',
  'model_key.deleted': 'target: the name of the key; detail: for which API and whom',
  'secrets.rotated': 'target: the new data key; detail: how many secrets were sealed anew',
  'budget.reached': 'target: the session or user; detail: the limit and what was used',
  'budget.raised': 'target: the session or user; detail: the limit and by how much',
  'budget.set': 'target: the session or user; detail: the limits',
  'quota.set': 'target: the user or team; detail: which of them it is, and the quota',
  'preview.link_created': 'target: the port of the sandbox',
  'egress.allowed': 'target: host:port; detail: the rule, and how often since it was last told',
  'egress.denied': 'target: host:port; detail: the reason, and how often since it was last told',
  'egress.policy_set': 'target: the session; detail: the presets and rules',
  'token.created': 'target: the token; detail: its name and owner, its scopes, when it expires',
  'token.revoked': 'target: the token; detail: its name and owner',
  'user.added': 'target: the user; detail: his role',
  'user.changed': 'target: the user; detail: the fields that were changed, his role, whether he is disabled',
  'user.removed': 'target: the user',
  'team.added': 'target: the team',
  'team.removed': 'target: the team',
  'team.member_set': 'target: the team; detail: the member and his role',
  'team.member_removed': 'target: the team; detail: the member',
  'session.shared': 'target: the session; detail: with whom, and the rights',
  'session.unshared': 'target: the session; detail: with whom',
  'git.pushed': 'target: the branch; detail: the commit and the repository',
  'git.pull_opened': 'target: the address of the pull request; detail: its number, the branch and the repository',
  'git.refused': 'target: the first ref; detail: the refs, why, and how many refusals of the session there have been',
  'journal.refused': 'target: the sandbox whose runner writes what no journal holds; detail: what',
  'secret.set': 'target: the secret; detail: whose it is, its hosts and header',
  'secret.removed': 'target: the secret; detail: whose it is',
  'secret.used': 'target: the name of the secret or model key, told together; detail: the host and how often, or the API',
  'signin.link_created': 'target: the user that it signs in',
  'signin.succeeded': 'target: the user; detail: by a link, a token, or which account of which service',
  'signin.failed': 'detail: by what, and how often since it was last told',
  'signin.refused': 'target: the user, where there is one; detail: who a service says it was, and why that one is not let in',
  'account.linked': 'target: the user; detail: the service, and the account there',
  'account.unlinked': 'target: the user; detail: the service, and the account there',
  'device.answered': 'target: the user who decides; detail: what the program calls itself, from where it asked, its scopes, and the answer',
  'github.setup_link_created': 'a link to the pages that make the GitHub App',
  'github.app_registered': 'target: the App; detail: its id and address',
  'template.built': 'target: the template; detail: its version and what it was built from',
  'template.pushed': 'target: the template; detail: its version and where it was pushed to',
  'template.removed': 'target: the template',
  'repository.changed': 'target: the repository; detail: the fields that were changed',
} as const satisfies Record<string, string>;

export type AuditAction = keyof typeof auditActions;
export const auditAction = z.enum(Object.keys(auditActions) as [AuditAction, ...AuditAction[]]);

/** SHA-256, hex. */
export const auditHash = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hexadecimal');

export const auditEntry = z.object({
  seq: z.number().int().positive(),
  at: z.iso.datetime(),
  /** `user:<name>`, `session:<id>` (its agent), `github:<login>`, `policy:<rule>` or `server`. */
  actor: z.string(),
  /** One of `auditActions`; a later version may know more. */
  action: z.string(),
  target: z.string().nullable(),
  sessionId: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
  prevHash: auditHash,
  hash: auditHash,
});
export type AuditEntry = z.infer<typeof auditEntry>;

export const auditPage = z.object({
  /** Newest first. */
  entries: z.array(auditEntry),
  /** Where the next page begins (`before`); `null` after the last. */
  next: z.number().int().nullable(),
});
export type AuditPage = z.infer<typeof auditPage>;

/** What is wrong with the first entry that is wrong. */
export const auditFault = z.enum([
  /** Its fields do not have its hash. */
  'changed',
  /** It does not follow the entry before it: one between them is gone, or their order is another. */
  'unlinked',
  /** The log ends before it. */
  'missing',
  /** It is behind the end of the log. */
  'surplus',
  /** No entry has the hash that was expected: the end of the log was cut off, or all of it was made anew. */
  'head_not_found',
]);

export const auditVerdict = z.object({
  intact: z.boolean(),
  /** How many entries were found good. */
  entries: z.number().int().nonnegative(),
  /** Of the newest entry that was looked at; to be kept elsewhere and expected at a later check. */
  head: z.object({ seq: z.number().int().nonnegative(), hash: auditHash }),
  broken: z.object({ seq: z.number().int().positive().nullable(), fault: auditFault, message: z.string() }).nullable(),
});
export type AuditVerdict = z.infer<typeof auditVerdict>;
