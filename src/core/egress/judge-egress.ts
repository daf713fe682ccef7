import type { EgressPolicy } from '../../protocol/egress.ts';
import { presetRules } from './egress-presets.ts';

export interface EgressTarget {
  /** Lower case, without a trailing dot. */
  host: string;
  port: number;
}

export interface EgressJudgement {
  allowed: boolean;
  /** The preset or rule that allows it, or why nothing does. */
  reason: string;
}

const webPorts = [80, 443];
const sshPort = 22;

/** What the policy says of a connection, by name alone. `gitHost` is where the session's repository is. */
export function judgeEgress(policy: EgressPolicy, gitHost: string | null, target: EgressTarget): EgressJudgement {
  const rule = policy.allow.find((each) => matches(each, target, webPorts));
  if (rule !== undefined) return { allowed: true, reason: `rule ${rule}` };
  for (const preset of policy.presets) {
    if (preset === 'open' || preset === 'full') return { allowed: true, reason: `preset ${preset}` };
    const ports = preset === 'git' ? [...webPorts, sshPort] : webPorts;
    const rules = preset === 'git' && gitHost !== null ? [gitHost, ...presetRules.git] : presetRules[preset];
    if (rules.some((each) => matches(each, target, ports))) return { allowed: true, reason: `preset ${preset}` };
  }
  return { allowed: false, reason: 'no preset or rule allows it' };
}

function matches(rule: string, { host, port }: EgressTarget, defaultPorts: readonly number[]): boolean {
  const [pattern = '', rulePort] = rule.split(':');
  if (rulePort === undefined ? !defaultPorts.includes(port) : Number(rulePort) !== port) return false;
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1 : host === pattern;
}
