import type { Context } from 'hono';
import { matchedRoutes } from 'hono/route';
import { z } from 'zod';
import type { StoreReads } from '../../core/ports/store.ts';
import type { Claim } from '../../core/users/claims.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { AppEnv } from '../context.ts';
import type { Rule } from './rules.ts';

/** Middleware that looks at whatever comes; it answers nothing by itself. */
const middleware: readonly string[] = ['ALL /*', 'ALL /api/*'];

interface Matched {
  route: string;
  /** Of the router, by which it knows the route's parameters. */
  index: number;
}

/** The handlers that the router has for a request, each once. */
export function handlersOf(c: Context<AppEnv>): Matched[] {
  const found = new Map<string, number>();
  for (const [index, { method, path }] of matchedRoutes(c).entries()) {
    const route = `${method} ${path}`;
    if (!middleware.includes(route)) found.set(route, index);
  }
  return [...found].map(([route, index]) => ({ route, index }));
}

/**
 * What a request asks to be allowed, by the rules of all handlers that it may come to. Throws `forbidden` for a handler
 * without a rule.
 */
export async function findClaims(
  c: Context<AppEnv>,
  reads: Pick<StoreReads, 'deadLetter' | 'taskByNumber'>,
  rules: Readonly<Record<string, Rule>>,
  handlers: readonly Matched[],
): Promise<Claim[]> {
  const claims: Claim[] = [];
  for (const { route, index } of handlers) {
    const rule = Object.hasOwn(rules, route) ? rules[route] : undefined;
    if (rule === undefined) throw new BerthError('forbidden', `no rule lets anybody call ${route}`);
    if (rule.needs !== 'public') claims.push(await claimOf(c, reads, rule, index));
  }
  return claims;
}

async function claimOf(
  c: Context<AppEnv>,
  reads: Pick<StoreReads, 'deadLetter' | 'taskByNumber'>,
  rule: Exclude<Rule, { needs: 'public' }>,
  index: number,
): Promise<Claim> {
  if ('session' in rule) return { needs: rule.needs, session: parameterOf(c, rule.session, index) };
  if ('snapshot' in rule) return { needs: rule.needs, snapshot: parameterOf(c, rule.snapshot, index) };
  if ('task' in rule) return { needs: rule.needs, task: parameterOf(c, rule.task, index) };
  if ('team' in rule) return { needs: rule.needs, team: parameterOf(c, rule.team, index) };
  if ('token' in rule) return { needs: rule.needs, token: parameterOf(c, rule.token, index) };
  if ('deadLetter' in rule) {
    const turnId = parameterOf(c, rule.deadLetter, index);
    const missing = new BerthError('not_found', `turn ${turnId} is no dead letter`, { field: 'turnId' });
    const letter = await reads.deadLetter(turnId);
    return { needs: rule.needs, session: letter?.sessionId ?? '', missing };
  }
  if (!('orPromptOf' in rule)) return { needs: rule.needs };
  // A body that is not understood makes nothing: its handler refuses it.
  const body: unknown = await c.req.json().catch(() => null);
  return (await (rule.orPromptOf === 'sessionId' ? namedSession(body) : sessionOfIssue(reads, body))) ?? { needs: rule.needs };
}

/**
 * As the handler will have it: the router decodes parameters by rules of its own, and a second reading of the address
 * might name another thing than the one that is then worked on.
 */
function parameterOf(c: Context<AppEnv>, name: string, index: number): string {
  const own = c.req.routeIndex;
  c.req.routeIndex = index;
  try {
    return c.req.param(name) ?? '';
  } finally {
    c.req.routeIndex = own;
  }
}

const withSession = z.object({ sessionId: z.string() });
const withIssue = z.object({ repositoryId: z.string(), issueNumber: z.number().int() });

async function namedSession(body: unknown): Promise<Claim | null> {
  const parsed = withSession.safeParse(body);
  if (!parsed.success) return null;
  const { sessionId } = parsed.data;
  const missing = new BerthError('not_found', `there is no session ${sessionId}`, { field: 'sessionId' });
  return { needs: 'session:prompt', session: sessionId, missing };
}

/** An issue that has a session gets its next turn there. */
async function sessionOfIssue(reads: Pick<StoreReads, 'taskByNumber'>, body: unknown): Promise<Claim | null> {
  const parsed = withIssue.safeParse(body);
  if (!parsed.success) return null;
  const { repositoryId, issueNumber } = parsed.data;
  const session = (await reads.taskByNumber(repositoryId, issueNumber))?.sessionId ?? null;
  if (session === null) return null;
  const missing = new BerthError('not_found', `there is no issue ${issueNumber} that you may have worked on`, {
    field: 'issueNumber',
  });
  return { needs: 'session:prompt', session, missing };
}
