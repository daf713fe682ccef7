import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Git } from '../../src/core/ports/git.ts';
import { guestHome } from '../../src/core/ports/sandbox-provider.ts';
import { createGit } from '../../src/git/create-git.ts';
import { mustRun } from '../../src/sandbox/run-command.ts';
import { startGitRemote } from '../git-remote.ts';
import { silent, soon, type BenchHost } from '../host.ts';
import { compare, timed } from '../measure.ts';
import { ratioRow } from '../table.ts';
import type { BenchCase } from './case.ts';

const shape = { files: 6000, commits: 200, filesPerCommit: 40, fileBytes: 5000 };
const quickShape = { files: 1000, commits: 20, filesPerCommit: 20, fileBytes: 5000 };

/**
 * What a session does with its repository: update the mirror on the host, lend its objects, clone in the sandbox. The first
 * session finds no mirror, the second one that is up to date. Sandboxes are made and destroyed outside the timing.
 */
export const clone: BenchCase = {
  name: 'clone',
  needsDocker: false,
  async run({ host, quick, say }) {
    // Beside the sandboxes' disks, as the server has it: objects are lent by hard link.
    const dir = join(host.dataDir, 'storage', 'bench-git');
    await mkdir(dir);
    say('clone: making a repository');
    const remote = await startGitRemote(dir, quick ? quickShape : shape);
    let git: Git | null = null;
    let round = 0;
    const mirrors = () => join(dir, `git-${round}`);
    try {
      const size = `${remote.objects} objects, ${(remote.packBytes / 1e6).toFixed(0)} MB`;
      say(`clone: ${size}`);
      const samples = await compare(
        [
          {
            name: 'first',
            async measureMs() {
              await rm(mirrors(), { recursive: true, force: true });
              round++;
              git = openGit(mirrors());
              return cloneOnce(host, git, remote.url);
            },
          },
          { name: 'second', measureMs: async () => cloneOnce(host, (git ??= openGit(mirrors())), remote.url) },
          { name: 'host', measureMs: () => cloneOnHost(join(dir, 'plain'), remote.url) },
        ],
        { warmUp: 1, rounds: quick ? 2 : 8, pauseMs: 100 },
      );
      const [first, second, plain] = [samples.get('first')!, samples.get('second')!, samples.get('host')!];
      return [
        ratioRow(`second clone of a repository (${size})`, second, 'first clone', first, null),
        ratioRow('second clone of a repository', second, '`git clone` on the host', plain, null),
        ratioRow('first clone of a repository', first, '`git clone` on the host', plain, null),
      ];
    } finally {
      await remote.close();
      await rm(dir, { recursive: true, force: true });
    }
  },
};

function openGit(dir: string): Git {
  return createGit({
    dir,
    env: process.env,
    allowLocal: false,
    credentials: async () => null,
    excludes: [],
    logger: silent,
  });
}

async function cloneOnce(host: BenchHost, git: Git, url: string): Promise<number> {
  const id = host.nextId();
  const runner = await host.create(id);
  try {
    return await timed(async () => {
      const mirror = await git.updateMirror(url, () => {}, soon());
      await host.provider.shareObjects!(id, mirror.objectsDir, { signal: soon() });
      const request = {
        cwd: `${guestHome}/repository`,
        baseBranch: mirror.defaultBranch,
        branch: 'bench',
        author: { name: 'Bench', email: 'bench@localhost' },
        sharedObjects: true,
      };
      await git.clone(runner, mirror, request, soon());
    });
  } finally {
    runner.close();
    await host.destroy(id);
  }
}

async function cloneOnHost(path: string, url: string): Promise<number> {
  const tookMs = await timed(() => mustRun('git', ['clone', '--quiet', url, path]));
  await rm(path, { recursive: true, force: true });
  return tookMs;
}
