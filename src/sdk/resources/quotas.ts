import { quotaView, type Quota, type QuotaView } from '../../protocol/quota.ts';
import type { QuotaSubject } from '../../protocol/quota-subject.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** How much of the installation users and teams may have. */
export interface QuotasResource {
  /** The caller's own. */
  own(options?: CallOptions): Promise<QuotaView>;
  of(subject: QuotaSubject, options?: CallOptions): Promise<QuotaView>;
  /** `null`: the server's default alone. */
  set(subject: QuotaSubject, quota: Quota | null, options?: CallOptions): Promise<QuotaView>;
}

export function createQuotasResource(transport: Transport): QuotasResource {
  const path = ({ kind, name }: QuotaSubject) => `/api/${kind}s/${encodeURIComponent(name)}/quota`;
  return {
    own: (options) => transport.json(quotaView, 'GET', '/api/quota', options),
    of: (subject, options) => transport.json(quotaView, 'GET', path(subject), options),
    set: (subject, quota, options) =>
      transport.json(quotaView, 'PUT', path(subject), { json: { quota }, idempotent: true, ...options }),
  };
}
