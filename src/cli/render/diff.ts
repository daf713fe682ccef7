import type { SessionDiff } from '../../sdk/index.ts';
import { sanitize, sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';
import { formatCount, plural } from './units.ts';
import { padEnd, truncate } from './width.ts';

/** A unified diff for a person: coloured, safe to print. Not for `patch`: controls are shown, not kept. */
export function renderPatch(patch: string, style: Style): string {
  let inHunk = false;
  return patch
    .split('\n')
    .map((raw) => {
      // A carriage return at a line's end is content of the file; it must not become a line of its own.
      const line = sanitize(raw.replace(/\r$/, '␍')).replace(/\n/g, '␊');
      if (line.startsWith('diff --git ')) {
        inHunk = false;
        return style.bold(line);
      }
      if (line.startsWith('@@')) {
        inHunk = true;
        return style.cyan(line);
      }
      if (!inHunk) return style.dim(line);
      if (line.startsWith('+')) return style.green(line);
      if (line.startsWith('-')) return style.red(line);
      return line;
    })
    .join('\n');
}

/** One line per file and a sum, like `git diff --stat`. */
export function renderDiffStat(diff: SessionDiff, style: Style, width: number): string {
  if (diff.files.length === 0) return `${style.dim('no changes')}\n`;
  const letters = { added: 'A', modified: 'M', removed: 'D', renamed: 'R' } as const;
  const paths = diff.files.map((file) =>
    truncate(sanitizeLine(file.from === null ? file.path : `${file.from} -> ${file.path}`), Math.max(20, width - 22)),
  );
  const widest = Math.max(...paths.map((path) => path.length));
  const lines = diff.files.map((file, at) => {
    const letter = letters[file.status];
    const paint = file.status === 'added' ? style.green : file.status === 'removed' ? style.red : style.yellow;
    return `  ${paint(letter)} ${padEnd(paths[at] ?? '', widest)}  ${counts(file.additions, file.deletions, style)}`;
  });
  const added = diff.files.reduce((sum, file) => sum + (file.additions ?? 0), 0);
  const removed = diff.files.reduce((sum, file) => sum + (file.deletions ?? 0), 0);
  lines.push(`  ${style.dim(`${plural(diff.files.length, 'file')} changed,`)} ${counts(added, removed, style)}`);
  return `${lines.join('\n')}\n`;
}

function counts(additions: number | null, deletions: number | null, style: Style): string {
  if (additions === null || deletions === null) return style.dim('binary');
  return `${style.green(`+${formatCount(additions)}`)} ${style.red(`-${formatCount(deletions)}`)}`;
}
