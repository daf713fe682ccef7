import { MessageSquarePlus, X } from 'lucide-react';
import { useMemo, useState, type ReactElement } from 'react';
import {
  Decoration,
  Diff,
  getChangeKey,
  Hunk,
  isDelete,
  isInsert,
  type ChangeData,
  type FileData,
  type GutterOptions,
} from 'react-diff-view';
import 'react-diff-view/style/index.css';
import { languageOf } from '../conversation/language.ts';
import { addLineComment, removeLineComment, useLineComments, type LineComment } from '../conversation/line-comments.ts';
import { useHighlight } from '../conversation/use-highlight.ts';
import { Button } from '../ui/button.tsx';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import { colour, isColourable } from './diff-files.ts';

export interface FileChangesProps {
  sessionId: string;
  path: string;
  data: FileData;
  view: 'split' | 'unified';
}

/** One file's changed lines; a remark can be made at each, and goes along with the next prompt. */
export function FileChanges({ sessionId, path, data, view }: FileChangesProps) {
  const all = useLineComments(sessionId);
  const [writing, setWriting] = useState<string | null>(null);
  const changes = useMemo(
    () => new Map(data.hunks.flatMap((hunk) => hunk.changes).map((change) => [getChangeKey(change), change])),
    [data],
  );

  const language = useMemo(() => (isColourable(data) ? languageOf(path) : null), [data, path]);
  const highlight = useHighlight(language !== null);
  const tokens = useMemo(
    () => (language === null || highlight === null ? null : colour(data, language, highlight)),
    [data, language, highlight],
  );

  const widgets: Record<string, ReactElement> = {};
  for (const [key, change] of changes) {
    const place = placeOf(change);
    const here = all.filter(
      (comment) => comment.path === path && comment.line === place.line && comment.side === place.side,
    );
    if (here.length === 0 && writing !== key) continue;
    widgets[key] = (
      <div className="border-y border-line bg-page px-3 py-2 font-sans">
        {here.map((comment) => (
          <Comment key={comment.id} comment={comment} onRemove={() => removeLineComment(sessionId, comment.id)} />
        ))}
        {writing === key && (
          <Writer
            line={place.line}
            onDone={(text) => {
              if (text !== '') addLineComment(sessionId, { path, ...place, code: change.content, text });
              setWriting(null);
            }}
          />
        )}
      </div>
    );
  }

  const gutter = ({ change, side, renderDefault, inHoverState }: GutterOptions) => {
    const commentable = isDelete(change) ? side === 'old' : side === 'new';
    return (
      <span className="relative block">
        {renderDefault()}
        {commentable && (
          <button
            type="button"
            aria-label={`Comment on line ${placeOf(change).line}`}
            onClick={() => setWriting(getChangeKey(change))}
            className={`absolute -top-0.5 -right-1 rounded bg-accent p-0.5 text-accent-text focus-visible:opacity-100 ${inHoverState ? 'opacity-100' : 'opacity-0'}`}
          >
            <MessageSquarePlus className="size-3.5" />
          </button>
        )}
      </span>
    );
  };

  return (
    <div
      className="overflow-x-auto border-t border-line"
      tabIndex={0}
      role="group"
      aria-label={`Changes of ${sanitizeLine(path)}`}
    >
      <Diff
        viewType={view}
        diffType={data.type}
        hunks={data.hunks}
        tokens={tokens}
        widgets={widgets}
        renderGutter={gutter}
      >
        {(hunks) =>
          hunks.flatMap((hunk) => [
            <Decoration key={`at ${hunk.content}`}>
              <div className="truncate bg-raised px-3 py-0.5 font-mono text-xs text-muted">
                {sanitizeLine(hunk.content)}
              </div>
            </Decoration>,
            <Hunk key={hunk.content} hunk={hunk} />,
          ])
        }
      </Diff>
    </div>
  );
}

function placeOf(change: ChangeData): { line: number; side: 'old' | 'new' } {
  if (isDelete(change)) return { line: change.lineNumber, side: 'old' };
  return { line: isInsert(change) ? change.lineNumber : change.newLineNumber, side: 'new' };
}

function Comment({ comment, onRemove }: { comment: LineComment; onRemove: () => void }) {
  return (
    <div className="mb-1.5 flex items-start gap-2 rounded-lg bg-accent-soft px-3 py-1.5 text-sm">
      <p className="min-w-0 flex-1 whitespace-pre-wrap">{comment.text}</p>
      <button type="button" aria-label="Remove the comment" onClick={onRemove} className="rounded p-0.5 hover:bg-hover">
        <X className="size-3.5" />
      </button>
    </div>
  );
}

function Writer({ line, onDone }: { line: number; onDone: (text: string) => void }) {
  const [text, setText] = useState('');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onDone(text.trim());
      }}
    >
      <textarea
        autoFocus
        aria-label={`Comment on line ${line}`}
        rows={2}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') {
            event.stopPropagation();
            onDone('');
          }
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) onDone(text.trim());
        }}
        placeholder="Goes along with your next prompt"
        className="w-full rounded-lg border border-line-strong bg-surface px-3 py-1.5 text-sm placeholder:text-muted"
      />
      <div className="mt-1.5 flex justify-end gap-2">
        <Button size="small" onClick={() => onDone('')}>
          Cancel
        </Button>
        <Button size="small" tone="accent" type="submit" disabled={text.trim() === ''}>
          Add comment
        </Button>
      </div>
    </form>
  );
}
