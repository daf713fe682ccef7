import { structuredPatch } from 'diff';
import { memo, useMemo } from 'react';
import { sanitize, sanitizeLine } from '../../../src/protocol/inert-text.ts';
import { classNames } from '../ui/class-names.ts';
import { shorten, type FileEdit } from './tool-call.ts';

/** Larger edits are told by their size; the workspace shows them. */
const maxChars = 200_000;
const maxLines = 400;

interface Line {
  sign: '+' | '-' | ' ' | '@';
  text: string;
}

/** One edit of one file, as lines. */
export const InlineDiff = memo(function InlineDiff({ edit, cwd }: { edit: FileEdit; cwd: string | null }) {
  const lines = useMemo(() => linesOf(edit), [edit]);
  const added = lines?.filter((line) => line.sign === '+').length ?? 0;
  const removed = lines?.filter((line) => line.sign === '-').length ?? 0;
  return (
    <figure className="my-2 overflow-hidden rounded-lg border border-line bg-code">
      <figcaption className="flex gap-2 border-b border-line bg-raised px-3 py-1 font-mono text-[0.8rem]">
        <span className="min-w-0 flex-1 truncate">{shorten(sanitizeLine(edit.path), cwd)}</span>
        {lines !== null && (
          <>
            <span className="text-good">+{added}</span>
            <span className="text-bad">−{removed}</span>
          </>
        )}
      </figcaption>
      {lines === null ? (
        <p className="px-3 py-2 text-sm text-muted">Too large to show here: see the changes of the workspace.</p>
      ) : (
        <div
          tabIndex={0}
          role="group"
          aria-label="Changed lines"
          className="max-h-96 overflow-auto py-1 font-mono text-[0.8rem] leading-normal"
        >
          <div className="w-max min-w-full">
            {lines.slice(0, maxLines).map((line, index) => (
              <div
                key={index}
                className={classNames(
                  'px-3 whitespace-pre',
                  line.sign === '+' && 'bg-good-soft',
                  line.sign === '-' && 'bg-bad-soft',
                  line.sign === '@' && 'py-0.5 text-muted',
                )}
              >
                <span aria-hidden className="mr-2 inline-block w-2 text-muted select-none">
                  {line.sign === '-' ? '−' : line.sign === '@' ? '' : line.sign}
                </span>
                {line.text}
              </div>
            ))}
            {lines.length > maxLines && <p className="px-3 py-1 text-muted">… {lines.length - maxLines} more lines</p>}
          </div>
        </div>
      )}
    </figure>
  );
});

function linesOf({ before, after }: FileEdit): Line[] | null {
  if (before.length + after.length > maxChars) return null;
  const patch = structuredPatch('a', 'b', sanitize(before), sanitize(after), '', '', { context: 3, timeout: 500 });
  if (patch === undefined) return null;
  return patch.hunks.flatMap((hunk, index) => [
    ...(index === 0 ? [] : [{ sign: '@' as const, text: '⋯' }]),
    ...hunk.lines
      .filter((line) => !line.startsWith('\\'))
      .map((line): Line => ({ sign: line[0] as Line['sign'], text: line.slice(1) })),
  ]);
}
