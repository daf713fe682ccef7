import type { RepositoryRecord } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import type { Candidate } from './candidate.ts';
import type { InstallationCalls } from './installation-call.ts';

const insiders = ['OWNER', 'MEMBER', 'COLLABORATOR'];
const allowed = ['admin', 'maintain', 'write'];

/**
 * Whether the sender may have an agent work in the repository: only who could push to it anyway.
 * `null`: they may; else the reason why not.
 *
 * `author_association` is a filter that saves a request and never lets anybody in. It is exact where a
 * person owns the repository. In an organisation's it is not: GitHub computes it for webhooks without
 * a viewer, so a member whose membership is private comes as `CONTRIBUTOR` or `NONE`, and only the
 * API's answer counts. https://github.com/cloudflare/cloudflare-os/pull/321
 */
export async function refusalByGate(
  calls: InstallationCalls,
  repository: RepositoryRecord,
  { sender, association, repository: { ownerIsOrganization } }: Candidate,
  signal: AbortSignal,
): Promise<string | null> {
  if (association !== null && !ownerIsOrganization && !insiders.includes(association)) {
    return `${sender.login} is an outsider (${association || 'no association'})`;
  }
  const held = await permissionOf(calls, repository, sender.login, signal);
  if (held === null) return `${sender.login} is not known to the repository`;
  // The name may have changed hands since it was written.
  if (held.userId !== sender.id) return `${sender.login} is somebody else by now`;
  return allowed.includes(held.permission) ? null : `${sender.login} may not write (${held.permission})`;
}

async function permissionOf(
  calls: InstallationCalls,
  repository: RepositoryRecord,
  login: string,
  signal: AbortSignal,
): Promise<{ permission: string; userId: number | undefined } | null> {
  try {
    return await calls.run(
      repository,
      async (octokit, at) => {
        const { data } = await octokit.rest.repos.getCollaboratorPermissionLevel({ ...at, username: login });
        return { permission: data.permission, userId: data.user?.id };
      },
      signal,
    );
  } catch (error) {
    if (error instanceof BerthError && error.code === 'not_found') return null;
    throw error;
  }
}
