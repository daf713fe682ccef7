import type { Providers } from '../providers.ts';
import type { Store } from '../ports/store.ts';

/** Templates by name, each with what needs it: sessions, sandboxes, snapshots and repositories. */
export type TemplateUses = ReadonlyMap<string, readonly string[]>;

const page = 500;

/** What the store tells and what the providers have. Throws when a provider does not answer: unknown is not unused. */
export async function templateUses(store: Store, providers: Providers, signal: AbortSignal): Promise<TemplateUses> {
  const uses = new Map<string, Set<string>>();
  const add = (template: string | null | undefined, user: string) => {
    if (template === null || template === undefined || template === '') return;
    uses.set(template, (uses.get(template) ?? new Set()).add(user));
  };
  await store.transaction(async (tx) => {
    for (let before: string | undefined; ; ) {
      const sessions = await tx.sessions({ limit: page, ...(before === undefined ? {} : { before }) });
      for (const { id, template } of sessions) add(template, `session ${id}`);
      before = sessions.at(-1)?.id;
      if (sessions.length < page) break;
    }
    for (const { id, template } of await tx.sandboxes()) add(template, `sandbox ${id}`);
    for (const { id, source } of await tx.snapshots()) add(source.template, `snapshot ${id}`);
    for (const { url, settings } of await tx.repositories()) add(settings.template, `repository ${url}`);
  });
  for (const name of providers.names) {
    const provider = providers.of(name);
    for (const { id, template } of await provider.list({ signal })) add(template, `sandbox ${id}`);
    if (provider.capabilities.snapshot === 'none') continue;
    for (const { id, template } of await provider.listSnapshots({ signal })) add(template, `snapshot ${id}`);
  }
  return new Map([...uses].map(([template, users]) => [template, [...users]]));
}
