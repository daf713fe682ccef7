import type { OutgoingHttpHeaders } from 'node:http';
import type { InjectedSecret } from '../../core/ports/secret-control.ts';
import { redactText } from './redaction.ts';

/** The sandbox's headers with the secrets in place of its own of those names; nothing may come back compressed. */
export function headersWithSecrets(headers: OutgoingHttpHeaders, secrets: readonly InjectedSecret[]): OutgoingHttpHeaders {
  const names = new Set(secrets.map(({ header }) => header.toLowerCase()));
  const kept = Object.entries(headers).filter(([name]) => !names.has(name.toLowerCase()));
  const injected = secrets.map(({ header, headerValue }) => [header, headerValue] as const);
  return { ...Object.fromEntries([...kept, ...injected]), 'accept-encoding': 'identity' };
}

/** An answer's headers. Its length is not told: what is taken out of the body may change it. */
export function withoutSecrets(headers: OutgoingHttpHeaders, secrets: readonly InjectedSecret[]): OutgoingHttpHeaders {
  const needles = secrets.flatMap((secret) => secret.needles);
  const redact = (value: unknown): string => redactText(String(value), needles);
  const out: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name === 'content-length' || value === undefined) continue;
    out[redactText(name, needles)] = Array.isArray(value) ? value.map(redact) : redact(value);
  }
  return out;
}
