import type { RunnerClient } from '../core/ports/runner.ts';
import type { SessionDiff } from '../protocol/api.ts';
import { enterClone, runInSandbox, textOf } from './sandbox-git.ts';

/** The tree without entries, which git knows without its being stored. */
const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const maxPatchBytes = 8 * 1024 * 1024;
const maxFiles = 5000;

/**
 * Everything since the base commit: commits, uncommitted and untracked files. A copy of the index
 * takes in the untracked files by name, so the agent's own index stays as it is.
 * $1 folder, $2 base. Prints `--raw --numstat -z`, an empty entry, and the patch.
 */
const diffScript = `${enterClone}
index=$(git rev-parse --git-path index)
copy=$(mktemp "$(git rev-parse --git-dir)/berth-index.XXXXXX")
trap 'rm -f -- "$copy" "$copy.lock"' EXIT
if [ -f "$index" ]; then cp -- "$index" "$copy"; else rm -f -- "$copy"; fi
export GIT_INDEX_FILE="$(cd -- "$(dirname -- "$copy")" && pwd)/$(basename -- "$copy")" GIT_OPTIONAL_LOCKS=0
git add -A -N . 2> /dev/null || true
git diff --no-color --no-ext-diff --no-textconv --ignore-submodules=dirty -M -z --raw --abbrev=40 --numstat "$2" --
printf '\\0'
git diff --no-color --no-ext-diff --no-textconv --ignore-submodules=dirty --src-prefix=a/ --dst-prefix=b/ -M "$2" --
`;

export async function diffWorkspace(
  runner: RunnerClient,
  request: { cwd: string; baseCommit: string | null },
  signal: AbortSignal,
): Promise<SessionDiff> {
  const output = await runInSandbox(
    runner,
    { text: diffScript, args: [request.cwd, request.baseCommit ?? emptyTree], maxOutputBytes: maxPatchBytes },
    signal,
  );
  return { baseCommit: request.baseCommit, ...parseDiff(textOf(output.stdout), output.truncated) };
}

type DiffFile = SessionDiff['files'][number];

/** Reads the script's output. It may be cut anywhere, and an entry that is not whole is left out. */
export function parseDiff(text: string, cut: boolean): Omit<SessionDiff, 'baseCommit'> {
  const files = new Map<string, DiffFile>();
  let offset = 0;
  const field = (): string | null => {
    const end = text.indexOf('\0', offset);
    if (end === -1) return null;
    const value = text.slice(offset, end);
    offset = end + 1;
    return value;
  };
  for (let entry = field(); entry !== null && entry !== ''; entry = field()) {
    if (entry.startsWith(':')) {
      const letter = entry.split(' ')[4]?.[0] ?? 'M';
      const first = field();
      const second = letter === 'R' || letter === 'C' ? field() : null;
      if (first === null || files.size >= maxFiles) continue;
      const path = second ?? first;
      files.set(path, {
        path,
        from: second === null ? null : first,
        status: statusOf(letter),
        additions: null,
        deletions: null,
      });
      continue;
    }
    const [additions, deletions, path] = entry.split('\t');
    if (path === '') field();
    const name = path === '' ? field() : path;
    const file = name == null ? undefined : files.get(name);
    // Binary files have `-` for both.
    if (file !== undefined && additions !== '-') {
      file.additions = Number(additions);
      file.deletions = Number(deletions);
    }
  }
  return { files: [...files.values()], patch: text.slice(offset), truncated: cut || files.size >= maxFiles };
}

function statusOf(letter: string): DiffFile['status'] {
  switch (letter) {
    case 'A':
    case 'C':
      return 'added';
    case 'D':
      return 'removed';
    case 'R':
      return 'renamed';
    default:
      return 'modified';
  }
}
