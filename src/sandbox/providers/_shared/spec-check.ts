import type {
  NetworkMode,
  SandboxCapabilities,
  SandboxLimits,
  SandboxProvider,
  SandboxSpec,
} from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';

const idPattern = /^[a-z][a-z0-9_-]{0,62}$/;
/** Below these not even the runner starts. */
const minimum: SandboxLimits = { cpus: 0.05, memoryBytes: 64 * 1024 ** 2, pids: 32, diskBytes: 16 * 1024 ** 2 };
/** gVisor's kernel is some fifty threads of the host before anything runs in it. */
const minimumPidsOfUserKernel = 128;
const maxLabels = 32;
const maxLabelLength = 256;

/** An id becomes part of paths and of cgroup names, so anything else is refused before it is used. */
export function checkId(id: string): void {
  if (!idPattern.test(id))
    throw new BerthError('invalid_request', `not an id: ${JSON.stringify(id)}`, { field: 'id' });
}

/** The ids of sandboxes that are made together; each is another one's. */
export function forkIds(specs: readonly SandboxSpec[]): string[] {
  const ids = specs.map((spec) => spec.id);
  if (new Set(ids).size !== ids.length) {
    throw new BerthError('invalid_request', 'each fork needs an id of its own', { field: 'specs' });
  }
  return ids;
}

/**
 * Throws `invalid_request` naming the field. A limit that this host cannot enforce must be 0, which asks for none: a
 * caller that counts on a limit is told, not left without it.
 */
export function checkSpec(
  spec: SandboxSpec,
  { name, capabilities }: Pick<SandboxProvider, 'name' | 'capabilities'>,
): void {
  checkId(spec.id);
  checkNetwork(spec.network, { name, capabilities });
  checkLimits(spec.limits, capabilities);
  checkLabels(spec.labels);
  for (const [name, value] of Object.entries(spec.env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || value.includes('\0')) {
      throw new BerthError('invalid_request', `not an environment variable: ${JSON.stringify(name)}`, { field: 'env' });
    }
  }
}

/** Throws `unsupported`: nobody gets another network than was asked for. */
export function checkNetwork(network: NetworkMode, { name, capabilities }: Pick<SandboxProvider, 'name' | 'capabilities'>): void {
  if (capabilities.network.includes(network)) return;
  throw new BerthError('unsupported', `the ${name} provider has no network mode "${network}" on this host (see "berth doctor")`, { field: 'network' });
}

/** Throws `invalid_request` naming the limit. */
export function checkLimits(limits: SandboxLimits, capabilities: SandboxCapabilities): void {
  for (const name of Object.keys(minimum) as (keyof SandboxLimits)[]) {
    const value = limits[name];
    const field = `limits.${name}`;
    if (!capabilities.limits.includes(name)) {
      if (value === 0) continue;
      throw new BerthError(
        'invalid_request',
        `this host cannot enforce ${name}; ask for 0 to go without (see "berth doctor")`,
        { field },
      );
    }
    const least = name === 'pids' && capabilities.isolation === 'user-kernel' ? minimumPidsOfUserKernel : minimum[name];
    if (!Number.isFinite(value) || value < least || (name !== 'cpus' && !Number.isSafeInteger(value))) {
      throw new BerthError('invalid_request', `${name} must be at least ${least}, not ${value}`, { field });
    }
  }
}

/** Throws `invalid_request`. */
export function checkLabels(labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels);
  if (
    entries.length > maxLabels ||
    entries.some(([key, value]) => key.length > maxLabelLength || value.length > maxLabelLength)
  ) {
    throw new BerthError('invalid_request', `at most ${maxLabels} labels of ${maxLabelLength} characters`, {
      field: 'labels',
    });
  }
}
