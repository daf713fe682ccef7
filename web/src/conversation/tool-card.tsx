import {
  ChevronRight,
  CircleCheck,
  CircleX,
  FilePen,
  FileSearch,
  FolderSearch,
  Globe,
  LoaderCircle,
  Terminal,
  Trash2,
  Wrench,
  Brain,
} from 'lucide-react';
import { memo, useState, type ComponentType } from 'react';
import { classNames } from '../ui/class-names.ts';
import { InlineDiff } from './inline-diff.tsx';
import { commandOf, editsOf, hasEnded, imagesOf, outputOf, titleOfCall, type ToolCall } from './tool-call.ts';

const icons: Record<string, ComponentType<{ className?: string }>> = {
  read: FileSearch,
  edit: FilePen,
  delete: Trash2,
  search: FolderSearch,
  execute: Terminal,
  think: Brain,
  fetch: Globe,
};

/** Lines of output that stay in sight: the last ones while a command runs, the first ones of what it said. */
const tailLines = 8;
const headLines = 5;

/** A tool call: one line, its edits, and its output behind a fold; while it runs, the end of its output as it comes. */
export const ToolCard = memo(function ToolCard({ call, cwd }: { call: ToolCall; cwd: string | null }) {
  const ended = hasEnded(call);
  const [open, setOpen] = useState(false);
  const output = outputOf(call);
  const edits = editsOf(call);
  const images = imagesOf(call);
  const command = commandOf(call);
  const title = titleOfCall(call, cwd);
  const foldable = output.trim() !== '' || (command !== null && command.includes('\n'));
  const Icon = icons[call.kind] ?? Wrench;
  const lines = output.trimEnd().split('\n');
  const preview = open
    ? output
    : !ended
      ? lines.slice(-tailLines).join('\n')
      : call.kind === 'execute'
        ? lines.slice(0, headLines).join('\n')
        : '';
  const more = !open && ended && preview !== '' ? Math.max(0, lines.length - headLines) : 0;

  const heading = (
    <>
      {foldable ? (
        <ChevronRight
          aria-hidden
          className={classNames('size-3.5 shrink-0 text-muted transition-transform', open && 'rotate-90')}
        />
      ) : (
        <span className="w-3.5 shrink-0" />
      )}
      <Icon className="size-4 shrink-0 text-muted" />
      <span
        className={classNames(
          'min-w-0 flex-1 truncate text-left',
          call.kind === 'execute' && 'font-mono text-[0.86rem]',
        )}
      >
        {title}
      </span>
      <CallState call={call} />
    </>
  );
  return (
    <div className="rounded-lg border border-line bg-surface">
      {foldable ? (
        <button
          type="button"
          aria-expanded={open}
          onClick={() => setOpen(!open)}
          className="flex w-full items-center gap-2 rounded-lg px-2.5 py-1.5 text-[0.92rem] hover:bg-hover"
        >
          {heading}
        </button>
      ) : (
        <div className="flex items-center gap-2 px-2.5 py-1.5 text-[0.92rem]">{heading}</div>
      )}
      {open && command !== null && command !== call.title && (
        <pre
          tabIndex={0}
          className="mx-2.5 mb-1 overflow-x-auto rounded-md bg-raised px-3 py-2 font-mono text-[0.82rem]"
        >
          {command}
        </pre>
      )}
      {preview.trim() !== '' && (
        <pre
          tabIndex={0}
          className="mx-2.5 mb-2.5 max-h-96 overflow-auto rounded-md bg-code px-3 py-2 font-mono text-[0.82rem] leading-normal whitespace-pre-wrap"
        >
          {preview}
          {more > 0 && (
            <span className="block text-muted">
              … {more} more {more === 1 ? 'line' : 'lines'}
            </span>
          )}
        </pre>
      )}
      {(edits.length > 0 || images.length > 0) && (
        <div className="px-2.5 pb-1">
          {edits.map((edit, index) => (
            <InlineDiff key={index} edit={edit} cwd={cwd} />
          ))}
          {images.map((image, index) => (
            <img
              key={index}
              alt="From the agent"
              src={`data:${image.mimeType};base64,${image.data}`}
              className="my-2 max-h-96 max-w-full rounded-md border border-line"
            />
          ))}
        </div>
      )}
    </div>
  );
});

function CallState({ call }: { call: ToolCall }) {
  if (call.status === 'completed')
    return <CircleCheck role="img" aria-label="done" className="size-4 shrink-0 text-good" />;
  if (call.status === 'failed') return <CircleX role="img" aria-label="failed" className="size-4 shrink-0 text-bad" />;
  return <LoaderCircle role="img" aria-label="under way" className="size-4 shrink-0 animate-spin text-accent" />;
}
