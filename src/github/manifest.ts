import { isLoopback } from './addresses.ts';

/** GitHub's own limit. */
const maxNameCharacters = 34;

/**
 * The App that Berth needs, as GitHub's manifest flow takes it: the least permissions for reading
 * issues, pushing a branch and opening a pull request, and the one address where people who sign in come back. `readsMembers`:
 * it sees who is in an organisation, since the configuration lets people in by that.
 * `installation` events come unasked. The name can be changed on GitHub's page.
 * https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
 */
export function manifestFor(publicUrl: string, readsMembers: boolean): Record<string, unknown> {
  return {
    name: `Berth ${new URL(publicUrl).hostname}`.slice(0, maxNameCharacters),
    url: publicUrl,
    description: 'Runs coding agents on issues and opens pull requests.',
    hook_attributes: { url: `${publicUrl}/webhooks/github`, active: true },
    redirect_url: `${publicUrl}/setup/github/callback`,
    callback_urls: [`${publicUrl}/sign-in/github/callback`],
    // Installable on its owner's account alone: whoever can install it can have agents work here.
    public: false,
    default_permissions: {
      contents: 'write',
      issues: 'write',
      pull_requests: 'write',
      metadata: 'read',
      ...(readsMembers && { members: 'read' }),
    },
    default_events: ['issues', 'issue_comment', 'pull_request_review', 'pull_request_review_comment', 'repository'],
  };
}

/** Where a browser posts the manifest. */
export function registrationUrl(webUrl: string, organization: string | null, state: string): string {
  const path = organization === null ? '/settings/apps/new' : `/organizations/${organization}/settings/apps/new`;
  return `${webUrl}${path}?state=${encodeURIComponent(state)}`;
}

/** Why webhooks would not arrive, or `null`. */
export function reachabilityWarning(publicUrl: string, webUrl: string): string | null {
  if (!isLoopback(publicUrl) || isLoopback(webUrl)) return null;
  return `GitHub cannot deliver webhooks to ${publicUrl}, and refuses to register an App with that address. Give Berth a public address first.`;
}
