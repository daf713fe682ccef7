import { createRoute, z } from '@hono/zod-openapi';
import type { PoolOverview } from '../../protocol/api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, tokenNeeded } from '../schemas.ts';

const contentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Figures of the pool and the queue for a collector, in Prometheus' text format (version 0.0.4). */
export function metricsRoutes(app: Router, { core }: AppDependencies): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/metrics',
      security: tokenNeeded,
      responses: {
        200: { description: 'For Prometheus', content: { 'text/plain': { schema: z.string() } } },
        ...failures,
      },
    }),
    async (c) => c.text(renderMetrics(await core.pool.overview()), 200, { 'content-type': contentType }),
  );
}

interface Metric {
  name: string;
  type: 'gauge' | 'counter';
  help: string;
  samples: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
}

export function renderMetrics(pool: PoolOverview): string {
  const one = (value: number): Metric['samples'] => [[{}, value]];
  const { estimate, warm, claims } = pool;
  const metrics: Metric[] = [
    { name: 'berth_slots', type: 'gauge', help: 'Sandboxes that may run at once.', samples: one(pool.slots) },
    { name: 'berth_slots_used', type: 'gauge', help: 'Slots that sessions hold.', samples: one(pool.used) },
    { name: 'berth_turns_waiting', type: 'gauge', help: 'Turns that wait for a slot.', samples: one(pool.waiting) },
    {
      name: 'berth_warm_sandboxes',
      type: 'gauge',
      help: 'Sandboxes without a session, ready or in the making.',
      samples: [
        [{ state: 'ready' }, warm.ready],
        [{ state: 'making' }, warm.making],
      ],
    },
    {
      name: 'berth_sandboxes',
      type: 'gauge',
      help: 'Sandboxes by status.',
      samples: Object.entries(pool.sandboxes).map(([status, count]) => [{ status }, count] as const),
    },
    {
      name: 'berth_first_sandboxes_total',
      type: 'counter',
      help: 'First sandboxes of sessions, taken warm or made when they were needed.',
      samples: [
        [{ kind: 'warm' }, claims.warm],
        [{ kind: 'cold' }, claims.cold],
      ],
    },
    { name: 'berth_evictions_total', type: 'counter', help: 'Sandboxes put to rest for their slot.', samples: one(pool.evictions) },
    {
      name: 'berth_wait_estimate_error_seconds',
      type: 'gauge',
      help: 'How far waits were from what was said at admission, on average, over the turns that last had one.',
      samples: estimate.meanAbsoluteErrorSeconds === null ? [] : one(estimate.meanAbsoluteErrorSeconds),
    },
  ];
  return metrics.filter(({ samples }) => samples.length > 0).map(render).join('');
}

function render({ name, type, help, samples }: Metric): string {
  const lines = samples.map(([labels, value]) => {
    // Values are words of ours: nothing in them needs an escape.
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${text}"`);
    return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}
