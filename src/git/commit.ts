import type { CommitRequest, CommittedChange } from '../core/ports/git.ts';
import type { RunnerClient } from '../core/ports/runner.ts';
import { checkedSha, enterClone, runInSandbox, textOf } from './sandbox-git.ts';

/**
 * Stages everything and prints what is new in the index. A lock that a killed git left a minute ago
 * is removed; it would block every commit to come. $1 folder.
 */
const stageScript = `${enterClone}
lock=$(git rev-parse --git-path index.lock)
find "$lock" -prune -mmin +1 -exec rm -f {} + 2> /dev/null || true
git -c advice.addEmbeddedRepo=false add -A -- . 2> /dev/null || git add -A --ignore-errors -- .
git rev-parse -q --verify HEAD > /dev/null || exit 0
git diff --cached --raw --no-renames --diff-filter=A -z HEAD --
`;

/** $1 folder, $2 message; stdin: paths to take out of the index again, each ended by NUL. */
const commitScript = `${enterClone}
git reset -q --pathspec-from-file=- --pathspec-file-nul > /dev/null || true
if git rev-parse -q --verify HEAD > /dev/null && git diff --cached --quiet HEAD --; then exit 0; fi
git commit -q --no-verify --cleanup=whitespace --allow-empty-message -m "$2" > /dev/null
git log -1 --format='%H%x00%s'
`;

const maxListBytes = 16 * 1024 * 1024;

/**
 * Commits what the agent left behind, as the author, with its helpers in trailers. Left out are the
 * agents' own settings files (`isSettings`) unless the repository tracks them, and repositories
 * inside the repository, which git would record as submodules that lead nowhere. Commits that the
 * agent made itself stay as they are. `null`: nothing was left.
 */
export async function commitAll(
  runner: RunnerClient,
  request: CommitRequest,
  isSettings: (path: string) => boolean,
  signal: AbortSignal,
): Promise<CommittedChange | null> {
  const staged = await runInSandbox(
    runner,
    { text: stageScript, args: [request.cwd], maxOutputBytes: maxListBytes },
    signal,
  );
  const unwanted = parseAdded(textOf(staged.stdout))
    .filter(({ mode, path }) => mode === '160000' || isSettings(path))
    .map(({ path }) => path);
  const { name, email } = request.author;
  const committed = await runInSandbox(
    runner,
    {
      // Without a path, `reset` would empty the whole index.
      text: unwanted.length === 0 ? commitScript.replace(/^git reset .*\n/m, '') : commitScript,
      args: [request.cwd, withTrailers(request)],
      stdin: Buffer.from(unwanted.map((path) => `:(top,literal)${path}\0`).join('')),
      env: {
        GIT_AUTHOR_NAME: name,
        GIT_AUTHOR_EMAIL: email,
        GIT_COMMITTER_NAME: name,
        GIT_COMMITTER_EMAIL: email,
      },
    },
    signal,
  );
  return parseLog(textOf(committed.stdout))[0] ?? null;
}

/** $1 folder, $2 base. */
const logScript = `${enterClone}
git log --reverse --max-count=1000 --format='%H%x00%s' "$2..HEAD" --
`;

/** Commits since the base, oldest first; at most the newest 1000. */
export async function logSince(
  runner: RunnerClient,
  request: { cwd: string; baseCommit: string },
  signal: AbortSignal,
): Promise<CommittedChange[]> {
  const output = await runInSandbox(runner, { text: logScript, args: [request.cwd, request.baseCommit] }, signal);
  return parseLog(textOf(output.stdout));
}

function parseLog(text: string): CommittedChange[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [sha, subject] = line.split('\0');
      return { sha: checkedSha(sha ?? ''), subject: (subject ?? '').slice(0, 1000) };
    });
}

/** `:000000 100644 <sha> <sha> A\0path\0`, as `--raw -z` prints it. */
function parseAdded(text: string): { mode: string; path: string }[] {
  const fields = text.split('\0');
  const added: { mode: string; path: string }[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const mode = fields[index]!.split(' ')[1];
    if (mode !== undefined) added.push({ mode, path: fields[index + 1]! });
  }
  return added;
}

/** Trailers stand in a paragraph of their own at the end (git-interpret-trailers). */
export function withTrailers(request: Pick<CommitRequest, 'message' | 'coAuthors'>): string {
  const trailers = request.coAuthors.map(({ name, email }) => `Co-authored-by: ${plain(name)} <${plain(email)}>`);
  const message = request.message.trim();
  return trailers.length === 0 ? message : `${message}\n\n${trailers.join('\n')}`;
}

function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is removed
  return text.replace(/[\x00-\x1f\x7f<>]/g, '').trim();
}

/**
 * Whether a path matches one of the patterns, which are of two kinds: `/dir/` for a folder and all in
 * it, `/file` for one file.
 */
export function matchesPatterns(patterns: readonly string[]): (path: string) => boolean {
  return (path) =>
    patterns.some((pattern) => (pattern.endsWith('/') ? `/${path}`.startsWith(pattern) : `/${path}` === pattern));
}
