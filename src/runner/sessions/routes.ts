import { resolve } from 'node:path';
import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';
import { agentSessionSpec, agentTurn, permissionAnswer } from '../../protocol/runner-api.ts';
import { sendJson, sendNoContent, type Route, type RouteContext } from '../router.ts';
import { systemClock, type Clock } from './clock.ts';
import { streamJournal } from './journal-stream.ts';
import { SessionRegistry } from './session-registry.ts';

const maxSpecBytes = 16 * 1024 * 1024;
/** Holds a few images of the largest size. */
const maxPromptBytes = 48 * 1024 * 1024;

const cancelRequest = z.object({ turnId: z.string().max(100).nullish() });
const modeRequest = z.object({ modeId: z.string().min(1).max(200) });
const configRequest = z.object({
  configId: z.string().min(1).max(200),
  value: z.union([z.string().max(10_000), z.boolean()]),
});

/** One registry per directory, even when routes are made twice: two would run two agents in one session. */
const registries = new Map<string, SessionRegistry>();

/** The routes below `/sessions`; see `protocol/runner-api.ts`. Sessions live in directories of `stateDir`. */
export async function createSessionRoutes(options: { stateDir: string }): Promise<Route[]> {
  const stateDir = resolve(options.stateDir);
  const registry = registries.get(stateDir) ?? new SessionRegistry({ stateDir, clock: systemClock });
  registries.set(stateDir, registry);
  return sessionRoutes(registry, systemClock);
}

export function sessionRoutes(registry: SessionRegistry, clock: Clock): Route[] {
  const session = (ctx: RouteContext) => registry.get(ctx.params['id'] ?? '');
  return [
    {
      method: 'PUT',
      pattern: '/sessions/:id',
      async handler(ctx) {
        const spec = parse(agentSessionSpec, await ctx.readJson(maxSpecBytes));
        sendJson(ctx.res, 200, await (await registry.getOrMake(ctx.params['id'] ?? '')).ensure(spec));
      },
    },
    {
      method: 'GET',
      pattern: '/sessions/:id',
      async handler(ctx) {
        sendJson(ctx.res, 200, (await session(ctx)).info());
      },
    },
    {
      method: 'DELETE',
      pattern: '/sessions/:id',
      async handler(ctx) {
        await (await session(ctx)).stop();
        sendNoContent(ctx.res);
      },
    },
    {
      method: 'POST',
      pattern: '/sessions/:id/turns',
      async handler(ctx) {
        const turn = parse(agentTurn, await ctx.readJson(maxPromptBytes));
        await (await session(ctx)).startTurn(turn);
        sendJson(ctx.res, 202, { turnId: turn.turnId });
      },
    },
    {
      method: 'POST',
      pattern: '/sessions/:id/cancel',
      async handler(ctx) {
        const { turnId } = parse(cancelRequest, await ctx.readJson());
        (await session(ctx)).cancelTurn(turnId ?? null);
        sendJson(ctx.res, 202, {});
      },
    },
    {
      method: 'POST',
      pattern: '/sessions/:id/permissions/:requestId',
      async handler(ctx) {
        const answer = parse(permissionAnswer, await ctx.readJson());
        await (await session(ctx)).answerPermission(ctx.params['requestId'] ?? '', answer);
        sendJson(ctx.res, 200, {});
      },
    },
    {
      method: 'POST',
      pattern: '/sessions/:id/mode',
      async handler(ctx) {
        const { modeId } = parse(modeRequest, await ctx.readJson());
        await (await session(ctx)).setMode(modeId);
        sendJson(ctx.res, 200, {});
      },
    },
    {
      method: 'POST',
      pattern: '/sessions/:id/config',
      async handler(ctx) {
        const { configId, value } = parse(configRequest, await ctx.readJson());
        await (await session(ctx)).setConfig(configId, value);
        sendJson(ctx.res, 200, {});
      },
    },
    {
      method: 'GET',
      pattern: '/sessions/:id/journal',
      async handler(ctx) {
        const { searchParams } = ctx.url;
        const from = parseSeq(searchParams.get('from'));
        const { journal } = await session(ctx);
        await streamJournal(ctx.res, journal, { from, follow: searchParams.get('follow') === 'true', clock });
      },
    },
  ];
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join('.') ?? '';
  throw new BerthError('invalid_request', issue?.message ?? 'ill-formed', field === '' ? {} : { field });
}

function parseSeq(text: string | null): number {
  if (text === null) return 0;
  const seq = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw new BerthError('invalid_request', 'from is a sequence number', { field: 'from' });
  return seq;
}
