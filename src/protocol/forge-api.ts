import { z } from 'zod';
import { permissionPolicy } from './permission-policy.ts';

/**
 * The API's part about forges and tasks. Rules of `api.ts` hold.
 *
 * | route | body -> answer |
 * |---|---|
 * | GET /api/github | -> `githubStatus` |
 * | POST /api/github/setup-link | `setupLinkRequest` -> 201 `setupLink`; `conflict` when an App is there and not to be replaced |
 * | POST /api/github/app | `githubAppInput` -> 201 `githubApp` |
 * | GET /api/repositories | -> `{ repositories: repository[] }`: those a forge lets Berth reach |
 * | POST /api/repositories | asks the forge anew -> `{ repositories }` |
 * | PATCH /api/repositories/:id | `repositoryChange` -> `repository` |
 * | GET /api/tasks?state=&limit= | -> `{ tasks: task[] }`, newest first |
 * | GET /api/tasks/:id | -> `task` |
 * | POST /api/tasks | `createTaskRequest`, or the next request of the task that the issue has -> 202 `task` |
 * | GET /api/sessions/:id/branch | -> `branchState`; wakes the sandbox |
 * | POST /api/sessions/:id/pull-request | `openPullRequest` -> `openedPull`: commits what is left, pushes, opens one or finds the one there is; `conflict` while the agent works |
 * | POST /webhooks/github (signed, no token) | -> 202 `{ delivery }` |
 * | GET /setup/github, /setup/github/callback (no token) | pages |
 */
export const repositoryTriggers = z.object({
  /** Putting this label on an issue starts a task; `null`: no label does. */
  label: z.string().nullable(),
  /** Naming this in an issue or a comment on one does, as `@berth`. */
  mention: z.string().nullable(),
  /** Assigning the issue to the App does. */
  assignee: z.boolean(),
});

export const repository = z.object({
  id: z.string(),
  url: z.string(),
  forge: z.enum(['github']).nullable(),
  owner: z.string().nullable(),
  name: z.string().nullable(),
  triggers: repositoryTriggers,
  /** `null`: the server's default. */
  agent: z.string().nullable(),
  template: z.string().nullable(),
  baseBranch: z.string().nullable(),
  permissionPolicy: permissionPolicy.nullable().optional(),
  createdAt: z.iso.datetime(),
});
export type Repository = z.infer<typeof repository>;

export const repositoryChange = z.strictObject({
  triggers: z
    .strictObject({
      label: z.string().trim().min(1).max(50).nullable().optional(),
      mention: z
        .string()
        .regex(/^@?[A-Za-z0-9][A-Za-z0-9-]{0,99}$/, 'a name of letters, digits and -, with or without @')
        .nullable()
        .optional(),
      assignee: z.boolean().optional(),
    })
    .optional(),
  agent: z.string().min(1).max(100).nullable().optional(),
  template: z.string().min(1).max(200).nullable().optional(),
  baseBranch: z.string().min(1).max(255).nullable().optional(),
  /** Rules for what agents ask in its sessions, behind a session's own; `null`: none. */
  permissionPolicy: permissionPolicy.nullable().optional(),
});
export type RepositoryChange = z.infer<typeof repositoryChange>;

export const taskState = z.enum(['accepted', 'working', 'publishing', 'waiting', 'failed']);

export const task = z.object({
  id: z.string(),
  repositoryId: z.string(),
  issueNumber: z.number().int(),
  pullNumber: z.number().int().nullable(),
  sessionId: z.string().nullable(),
  state: taskState,
  turnId: z.string().nullable(),
  /** Who asked for what is worked on, a login of the forge or a user. */
  askedBy: z.string(),
  /** How many requests wait behind it. */
  pending: z.number().int(),
  pushedCommit: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type Task = z.infer<typeof task>;

export const createTaskRequest = z.strictObject({
  repositoryId: z.string().min(1).max(100),
  issueNumber: z.number().int().positive().max(2 ** 31 - 1),
  /** What to do beyond the issue, or next. */
  text: z.string().min(1).max(60_000).optional(),
});
export type CreateTaskRequest = z.infer<typeof createTaskRequest>;

export const githubApp = z.object({
  appId: z.number().int(),
  slug: z.string(),
  name: z.string(),
  htmlUrl: z.string(),
  installUrl: z.string(),
});
export type GithubApp = z.infer<typeof githubApp>;

export const githubStatus = z.object({
  configured: z.boolean(),
  app: githubApp.nullable(),
  /** `null` when GitHub does not answer; `problem` says why. */
  installations: z.array(z.object({ id: z.number().int(), account: z.string(), suspended: z.boolean() })).nullable(),
  problem: z.string().nullable(),
});
export type GithubStatus = z.infer<typeof githubStatus>;

export const githubAppInput = z.strictObject({
  appId: z.number().int().positive(),
  /** PEM, as GitHub gave it. */
  privateKey: z.string().min(1).max(20_000),
  webhookSecret: z.string().min(16, 'at least 16 characters').max(1_000),
  /** For people to sign in by the App. */
  clientSecret: z.string().min(1).max(1_000).optional(),
  apiUrl: z.url({ protocol: /^https?$/ }).max(2048).optional(),
});
export type GithubAppInput = z.infer<typeof githubAppInput>;

export const setupLinkRequest = z.strictObject({ replace: z.boolean().default(false) });
export const setupLink = z.object({ url: z.string(), expiresAt: z.iso.datetime() });
export type SetupLink = z.infer<typeof setupLink>;

export const pullRequest = z.object({ number: z.number().int(), url: z.string() });
export type PullRequest = z.infer<typeof pullRequest>;

/** What a session's branch holds, and what can be made of it. */
export const branchState = z.object({
  branch: z.string().nullable(),
  baseBranch: z.string().nullable(),
  /** Since the base, oldest first. `pushed`: Berth has brought it to the remote. */
  commits: z.array(z.object({ sha: z.string(), subject: z.string(), pushed: z.boolean() })),
  /** Since the base, in commits or not. */
  changedFiles: z.number().int(),
  /** The open one from this branch. */
  pull: pullRequest.nullable(),
  /** Why none can be opened; `null`: one can. */
  refusal: z.string().nullable(),
});
export type BranchState = z.infer<typeof branchState>;

export const openPullRequest = z.strictObject({
  /** Default: the session's title. */
  title: z.string().trim().min(1).max(256).optional(),
  /** Default: who made it. */
  body: z.string().max(60_000).optional(),
  /** The branch to bring it into. Default: the one that the session started from. */
  base: z.string().min(1).max(255).optional(),
});
export type OpenPullRequest = z.infer<typeof openPullRequest>;

/** `opened`: it was not there before. */
export const openedPull = pullRequest.extend({ opened: z.boolean(), sha: z.string() });
export type OpenedPull = z.infer<typeof openedPull>;
