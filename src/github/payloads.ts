import { z } from 'zod';

/**
 * What Berth reads of GitHub's webhook payloads, and nothing else of them.
 * https://docs.github.com/webhooks/webhook-events-and-payloads
 */
const id = z.number().int().nonnegative();
const number = z.number().int().positive();
const name = z.string().regex(/^[\w.-]{1,100}$/);
const text = z.string().nullish().transform((value) => value ?? '');

const account = z.object({ id, login: z.string().min(1).max(100), type: z.string().default('User') });
const repository = z.object({
  name,
  owner: z.object({ login: name, type: z.string().default('User') }),
});
const viaApp = z.object({ id }).nullish();

const common = { repository, sender: account, installation: z.object({ id }) };
const issue = z.object({
  id,
  number,
  title: text,
  body: text,
  author_association: text,
  labels: z.array(z.object({ name: z.string() })).nullish(),
  assignees: z.array(z.object({ login: z.string() })).nullish(),
  pull_request: z.unknown().optional(),
  performed_via_github_app: viaApp,
});
const pull = z.object({ number });

export const issueOpened = z.object({ ...common, issue });
export const issueLabeled = z.object({ ...common, issue, label: z.object({ name: z.string() }).optional() });
export const issueAssigned = z.object({ ...common, issue, assignee: z.object({ login: z.string() }).nullish() });
export const issueCommentCreated = z.object({
  ...common,
  issue,
  comment: z.object({ id, body: text, author_association: text, performed_via_github_app: viaApp }),
});
export const reviewCommentCreated = z.object({
  ...common,
  pull_request: pull,
  comment: z.object({
    id,
    body: text,
    author_association: text,
    pull_request_review_id: id.nullish(),
    path: z.string(),
    line: z.number().nullish(),
    original_line: z.number().nullish(),
    diff_hunk: text,
  }),
});
export const reviewSubmitted = z.object({
  ...common,
  pull_request: pull,
  review: z.object({ id, body: text, state: z.string(), author_association: text }),
});

const listed = z.array(z.object({ full_name: z.string().regex(/^[\w.-]{1,100}\/[\w.-]{1,100}$/) }));
const installation = z.object({ id, account: z.object({ login: z.string() }).nullish() });
export const installationChanged = z.object({ installation, repositories: listed.nullish() });
export const installationRepositories = z.object({
  installation,
  repositories_added: listed.nullish(),
  repositories_removed: listed.nullish(),
});
export const repositoryMoved = z.object({
  repository,
  installation: z.object({ id }),
  changes: z.object({
    repository: z.object({ name: z.object({ from: name }) }).optional(),
    owner: z
      .object({
        from: z.object({
          user: z.object({ login: name }).nullish(),
          organization: z.object({ login: name }).nullish(),
        }),
      })
      .optional(),
  }),
});

/** `issues` with `opened` is `issues.opened`; an event without an action is its own name. */
export function eventName(event: string, payload: unknown): string {
  const action = (payload as { action?: unknown } | null)?.action;
  return typeof action === 'string' && /^[a-z_]{1,50}$/.test(action) ? `${event}.${action}` : event;
}
