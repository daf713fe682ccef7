import { sessionActor } from '../audit/actor.ts';
import type { Clock } from '../ports/clock.ts';
import type { EgressControl } from '../ports/egress.ts';
import type { GitReceiver } from '../ports/git.ts';
import type { GitAddress, GitControl, GitGrant, GitRefusal, PushGrant } from '../ports/git-control.ts';
import type { Logger } from '../ports/logger.ts';
import type { SessionRecord, Store } from '../ports/store.ts';
import { createRefusedPushes } from './refused-pushes.ts';

export interface SessionGitOptions {
  store: Store;
  egress: Pick<EgressControl, 'judge' | 'record'>;
  git: GitReceiver;
  readCredential: GitControl['readCredential'];
  clock: Clock;
  logger: Logger;
}

/**
 * What git in a sandbox may do with the installation's credential: fetch the session's own repository, and push to the
 * session's own branch of it, where the egress policy allows the repository's host at all.
 */
export function createSessionGit({ store, egress, git, readCredential, clock, logger }: SessionGitOptions): GitControl {
  async function decide(sessionId: string, address: GitAddress): Promise<GitGrant | GitRefusal> {
    const session = await store.read.session(sessionId);
    if (session === null || session.deletingAt !== null || session.repositoryUrl === null) {
      return { refused: 'this session has no repository' };
    }
    const own = new URL(session.repositoryUrl);
    if (own.protocol === 'file:' || own.host !== address.host) return { refused: 'it is not the repository of this session' };
    if (withoutSuffix(own.pathname) !== withoutSuffix(address.path)) {
      const elsewhere = `${own.origin}${address.path}`;
      return { refused: 'it is not the repository of this session', elsewhere };
    }
    const port = Number(own.port === '' ? (own.protocol === 'https:' ? 443 : 80) : own.port);
    const judgement = await egress.judge(sessionId, { host: own.hostname, port });
    egress.record(sessionId, { host: own.hostname, port }, judgement);
    if (!judgement.allowed) {
      return { refused: `this session may not reach ${own.host}. A person can allow it with: berth egress allow ${sessionId} ${own.host}` };
    }
    return { url: session.repositoryUrl, push: pushGrant(session, session.repositoryUrl) };
  }

  return {
    async grant(sessionId, address) {
      try {
        return await decide(sessionId, address);
      } catch (error) {
        logger.warn({ sessionId, err: error }, 'a git request could not be judged');
        return { refused: 'what this session may do could not be read' };
      }
    },
    readCredential,
    refused: createRefusedPushes({ store, clock, logger }),
    refs: (url, signal) => git.refs(url, signal),
    async push(sessionId, { url, branch, baseCommit }, sha, pack, onLine, signal) {
      await git.receive({ url, sessionId, branch, baseCommit, sha }, pack, onLine, signal);
      const at = clock.now().toISOString();
      await store.transaction(async (tx) => {
        if ((await tx.session(sessionId)) === null) return;
        await tx.appendEvents(sessionId, [{ at, turnId: null, type: 'git.pushed', data: { sha, branch } }]);
        await tx.appendAudit([
          { at, actor: sessionActor(sessionId), action: 'git.pushed', target: branch, sessionId, detail: { sha, repository: url } },
        ]);
      });
    },
  };
}

/** A branch that others build on is never a session's own, whatever its record says. */
function pushGrant({ branch, baseBranch, baseCommit }: SessionRecord, url: string): PushGrant | null {
  if (branch === null || baseCommit === null || branch === baseBranch) return null;
  return { url, branch, baseCommit };
}

/** With or without it an address is the same repository's. */
function withoutSuffix(path: string): string {
  return path.replace(/\.git$/, '');
}
