import type { Forge } from '../../../test/fixtures/forge/index.ts';
import type { Git } from '../../core/ports/git.ts';

/**
 * The core's `Git` without a sandbox: what an agent would leave is put into `left`, commits are real
 * ones in the stand-in's repository, and pushing moves the branch there.
 */
export interface MemoryGit {
  git: Git;
  /** What the agent of the turn that ends next has left, under `next`: path to content. */
  left: Map<string, Record<string, string>>;
  /** Commit messages by branch, as pushed or not. */
  messages: Map<string, string[]>;
}

export function createMemoryGit(forge: Forge, fullName: string): MemoryGit {
  const left = new Map<string, Record<string, string>>();
  const commits = new Map<string, { sha: string; subject: string }[]>();
  const messages = new Map<string, string[]>();
  /** One session works at a time in these tests. */
  let current = '';

  const git: Partial<Git> = {
    check: async () => ({ baseBranch: 'main' }),
    updateMirror: async (url) => ({ url, objectsDir: '/nowhere', defaultBranch: 'main' }),
    async clone(_runner, _mirror, { branch }) {
      current = branch;
      return { baseCommit: (await forge.refs(fullName))['refs/heads/main']! };
    },
    async commitAll(_runner, request) {
      const files = left.get('next');
      if (files === undefined) return null;
      left.delete('next');
      const trailers = request.coAuthors.map(({ name, email }) => `Co-authored-by: ${name} <${email}>`).join('\n');
      const message = trailers === '' ? request.message : `${request.message}\n\n${trailers}`;
      const sha = await forge.commit(fullName, { branch: `wip/${current}`, message, files });
      const commit = { sha, subject: message.split('\n')[0]! };
      commits.set(current, [...(commits.get(current) ?? []), commit]);
      messages.set(current, [...(messages.get(current) ?? []), message]);
      return commit;
    },
    log: async () => commits.get(current) ?? [],
    diff: async (_runner, { baseCommit }) => ({ baseCommit, files: [], patch: '', truncated: false }),
    async push(_runner, { branch }) {
      const { sha } = commits.get(branch)!.at(-1)!;
      await forge.git(fullName, 'update-ref', `refs/heads/${branch}`, sha);
      return { sha };
    },
  };
  return { git: git as Git, left, messages };
}
