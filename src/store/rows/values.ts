import { z } from 'zod';
import type { EventError, Usage } from '../../protocol/events.ts';
import type { BudgetLimits, UserBudget } from '../../protocol/budget.ts';
import { egressPreset, type EgressPolicy } from '../../protocol/egress.ts';
import type { Prompt } from '../../protocol/content.ts';
import type { McpServer } from '../../protocol/runner-api.ts';
import type { Placement } from '../../core/ports/store.ts';
import type { SandboxLimits } from '../../core/ports/sandbox-provider.ts';
import type { IdlePolicyOverride } from '../../core/sandboxes/idle-policy.ts';

/**
 * Shapes of stored JSON. They say what the code relies on, without the bounds that `protocol/` puts on
 * input: a bound that is tightened later must not make old rows unreadable, and a 8 MB image is not
 * checked for base64 at each read.
 */

export const storedLimits: z.ZodType<SandboxLimits> = z.object({
  cpus: z.number(),
  memoryBytes: z.number(),
  pids: z.number(),
  diskBytes: z.number(),
});

const storedLimit = z.number().optional();

export const storedBudgetLimits: z.ZodType<BudgetLimits> = z.object({
  tokens: storedLimit,
  usd: storedLimit,
  turns: storedLimit,
  minutes: storedLimit,
});

export const storedUserBudget: z.ZodType<UserBudget> = z.object({
  session: storedBudgetLimits.optional(),
  user: storedBudgetLimits.optional(),
  day: storedBudgetLimits.optional(),
});

export const storedEgress: z.ZodType<EgressPolicy> = z.object({ presets: z.array(egressPreset), allow: z.array(z.string()) });

export const storedPlacement: z.ZodType<Placement> = z.object({ reason: z.string(), others: z.array(z.string()) });

export const storedPrompt: z.ZodType<Prompt> = z.array(
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('text'), text: z.string() }),
    z.object({ type: z.literal('image'), mimeType: z.string(), data: z.string() }),
    z.object({
      type: z.literal('resource_link'),
      uri: z.string(),
      name: z.string(),
      mimeType: z.string().optional(),
    }),
  ]),
);

const storedMs = z.number().nullable().optional();

export const storedIdle: z.ZodType<IdlePolicyOverride> = z.object({
  pauseMs: storedMs,
  hibernateMs: storedMs,
  archiveMs: storedMs,
  hibernateAskingMs: storedMs,
  lastStep: z.enum(['archive', 'destroy']).optional(),
});

const nameValue = z.object({ name: z.string(), value: z.string() });

export const storedMcpServers: z.ZodType<McpServer[]> = z.array(
  z.union([
    z.object({ name: z.string(), command: z.string(), args: z.array(z.string()), env: z.array(nameValue) }),
    z.object({ type: z.enum(['http', 'sse']), name: z.string(), url: z.string(), headers: z.array(nameValue) }),
  ]),
);

export const storedError: z.ZodType<EventError> = z.object({ code: z.string(), message: z.string() });

export const storedUsage: z.ZodType<Usage> = z.object({
  inputTokens: z.number().optional(),
  outputTokens: z.number().optional(),
  totalTokens: z.number().optional(),
});
