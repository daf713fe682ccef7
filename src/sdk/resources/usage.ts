import { usageReport, type UsageDimension, type UsageReport } from '../../protocol/usage.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

export interface UsageRequest {
  /** Default: by day and model. */
  by?: readonly UsageDimension[];
  session?: string;
  user?: string;
  turn?: string;
  model?: string;
  /** Days in UTC, both included: `2026-11-29`. */
  from?: string;
  to?: string;
}

/** What models used, of sessions that are gone too. */
export interface UsageResource {
  report(request?: UsageRequest, options?: CallOptions): Promise<UsageReport>;
}

export function createUsageResource(transport: Transport): UsageResource {
  return {
    report({ by, ...filter } = {}, options) {
      const query = new URLSearchParams(filter);
      if (by !== undefined) query.set('by', by.join(','));
      return transport.json(usageReport, 'GET', `/api/usage?${query.toString()}`, options);
    },
  };
}
