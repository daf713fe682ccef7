import { InvalidArgumentError } from 'commander';
import { parseEgressPolicy, type EgressPolicy } from '../../protocol/egress.ts';

/** `none`, or presets and hosts with commas. */
export function egressPolicy(value: string): EgressPolicy {
  try {
    return parseEgressPolicy(value);
  } catch {
    throw new InvalidArgumentError('expected none, or of packages, git, open, full and hosts such as *.example.org:8443, with commas.');
  }
}
