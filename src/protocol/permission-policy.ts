import { z } from 'zod';

/**
 * Who answers an agent's permission requests. A rule says what it is about (all that it names must fit) and what the
 * answer is. Of all rules that fit, one that denies wins; else the first; what none is about is asked of a person.
 */

/** ACP's kinds of tool; an agent that names none, or another, has `other`. */
export const toolKind = z.enum(['read', 'edit', 'delete', 'move', 'search', 'execute', 'think', 'fetch', 'switch_mode', 'other']);
export type ToolKind = z.infer<typeof toolKind>;

const pattern = z.string().min(1).max(300);

export const permissionAnswerKind = z.enum(['allow', 'ask', 'deny']);
export type PermissionAnswerKind = z.infer<typeof permissionAnswerKind>;

export const permissionRule = z.strictObject({
  /** Said in the log as who answered: `policy:<name>`. */
  name: z.string().regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/i, 'letters, digits, dots, dashes, 63 at most'),
  answer: permissionAnswerKind,
  kinds: z.array(toolKind).min(1).max(toolKind.options.length).optional(),
  /** Names of tools, with `*` for any text: `mcp__github__*`. */
  tools: z.array(pattern).min(1).max(100).optional(),
  /** `*` within a part of a path, `**` over parts, `~/` the home, relative ones below the working directory. */
  paths: z.array(pattern).min(1).max(100).optional(),
  /** A program and its arguments, `*` within a word; a last word `*` stands for all that follows: `npm test *`. */
  commands: z.array(pattern).min(1).max(100).optional(),
});
export type PermissionRule = z.infer<typeof permissionRule>;

export const permissionPolicy = z.strictObject({ rules: z.array(permissionRule).max(100) });
export type PermissionPolicy = z.infer<typeof permissionPolicy>;

/**
 * `policy`: by rules, and a person for the rest. `ask`: always a person. `allow`: the agent is started so that it does not ask
 * before what stays inside its sandbox.
 */
export const permissionMode = z.enum(['policy', 'ask', 'allow']);
export type PermissionMode = z.infer<typeof permissionMode>;

export const permissionPolicyView = z.object({
  mode: permissionMode,
  /** The session's own. */
  own: permissionPolicy.nullable(),
  /** All that hold, in the order in which they are looked at. */
  rules: z.array(permissionRule.extend({ from: z.enum(['session', 'repository', 'server']) })),
});
export type PermissionPolicyView = z.infer<typeof permissionPolicyView>;

export const setPermissionPolicyRequest = z.strictObject({
  /** Holds for what is asked from now on; an agent that was started with or without `allow` keeps that until its next start. */
  mode: permissionMode.optional(),
  /** Takes the place of its own rules; `null`: none of its own. */
  policy: permissionPolicy.nullable().optional(),
});
export type SetPermissionPolicyRequest = z.infer<typeof setPermissionPolicyRequest>;
