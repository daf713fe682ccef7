import { BerthError } from '../protocol/errors.ts';
import type { SandboxProvider } from './ports/sandbox-provider.ts';

/** The providers of this server. What exists already is reached through the one that made it, which its record names. */
export interface Providers {
  /** In the order of the configuration. */
  readonly names: readonly string[];
  /** Where sessions go that nothing places elsewhere, and where warm sandboxes are kept. */
  readonly first: SandboxProvider;
  has(name: string): boolean;
  /** Throws `unavailable` for one that this server is not configured with. */
  of(name: string): SandboxProvider;
}

export function createProviders(providers: readonly SandboxProvider[]): Providers {
  const byName = new Map(providers.map((provider) => [provider.name, provider]));
  const [first] = providers;
  if (first === undefined) throw new BerthError('invalid_request', 'a server needs a provider', { field: 'providers' });
  const names = [...byName.keys()];
  return {
    names,
    first,
    has: (name) => byName.has(name),
    of(name) {
      const found = byName.get(name);
      if (found === undefined) {
        throw new BerthError('unavailable', `this server does not have the provider ${name}; it has ${names.join(', ')}`, {
          field: 'provider',
        });
      }
      return found;
    },
  };
}
