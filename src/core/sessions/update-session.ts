import type { IdleTimes, UpdateSessionRequest } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SessionRecord } from '../ports/store.ts';
import { effectivePolicy, type IdlePolicy, type IdlePolicyOverride } from '../sandboxes/idle-policy.ts';

/** What a request changes of a session. Throws `invalid_request` naming the field. */
export function planUpdate(
  deps: Pick<Dependencies, 'settings' | 'clock'>,
  { title, idle, budget }: UpdateSessionRequest,
): Partial<Pick<SessionRecord, 'title' | 'idle' | 'budget' | 'updatedAt'>> {
  return {
    ...(title === undefined ? {} : { title }),
    ...(idle === undefined ? {} : { idle: idle === null ? null : planIdle(deps, idle) }),
    ...(budget === undefined ? {} : { budget }),
    updatedAt: deps.clock.now().toISOString(),
  };
}

/** A session's own times of rest, which must go on from each other together with the pool's. */
export function planIdle({ settings }: Pick<Dependencies, 'settings'>, asked: IdleTimes): IdlePolicyOverride {
  const own: IdlePolicyOverride = {};
  for (const [field, step] of fields) {
    const seconds = asked[field];
    if (seconds !== undefined) own[step] = seconds === null ? null : seconds * 1000;
  }
  if (asked.lastStep !== undefined) own.lastStep = asked.lastStep;
  requireOrder(effectivePolicy(settings.idle, own), own);
  return own;
}

const fields = [
  ['pauseSeconds', 'pauseMs'],
  ['hibernateSeconds', 'hibernateMs'],
  ['archiveSeconds', 'archiveMs'],
  ['askingHibernateSeconds', 'hibernateAskingMs'],
] as const;

function requireOrder(policy: IdlePolicy, own: IdlePolicyOverride): void {
  const steps = fields.slice(0, 3).filter(([, step]) => policy[step] !== null);
  for (const [index, [field, step]] of steps.entries()) {
    const next = steps[index + 1];
    if (next === undefined) return;
    const [nextField, nextStep] = next;
    if ((policy[step] as number) < (policy[nextStep] as number)) continue;
    const said = (name: string, key: (typeof fields)[number][1]) =>
      `${name} (${(policy[key] as number) / 1000}${own[key] === undefined ? ", the pool's" : ''})`;
    throw new BerthError('invalid_request', `${said(field, step)} must be less than ${said(nextField, nextStep)}`, {
      field: `idle.${own[step] === undefined ? nextField : field}`,
    });
  }
}

/** As callers see it. */
export function viewIdle(own: IdlePolicyOverride | null): IdleTimes | null {
  if (own === null) return null;
  const times: IdleTimes = {};
  for (const [field, step] of fields) {
    const ms = own[step];
    if (ms !== undefined) times[field] = ms === null ? null : ms / 1000;
  }
  return { ...times, ...(own.lastStep === undefined ? {} : { lastStep: own.lastStep }) };
}
