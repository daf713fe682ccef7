import { ArrowUp, ImagePlus, MessageSquareQuote, Square, X } from 'lucide-react';
import { useEffect, useId, useRef, useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session } from '../../../src/sdk/index.ts';
import { client, messageOf } from '../api.ts';
import { IconButton } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { Menu, MenuChoices } from '../ui/menu.tsx';
import { toast, toastFailure } from '../ui/toasts.tsx';
import { readAttachment, type Attachment } from './attachments.ts';
import { clearLineComments, commentsAsText, removeLineComment, useLineComments } from './line-comments.ts';
import type { Facts } from './model.ts';
import { useSuggestions, wordAt } from './suggestions.ts';

const draftKey = (sessionId: string): string => `berth.draft.${sessionId}`;

/** Where a person says what is next; while a turn runs, what is said waits for its end. */
export function Composer({ session, facts, busy }: { session: Session; facts: Facts; busy: boolean }) {
  const { id } = session;
  const [text, setText] = useState(() => localStorage.getItem(draftKey(id)) ?? '');
  const [caret, setCaret] = useState(0);
  const [images, setImages] = useState<readonly Attachment[]>([]);
  const [sending, setSending] = useState(false);
  const [chosen, setChosen] = useState(0);
  const [dismissed, setDismissed] = useState<string | null>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const listId = useId();
  const comments = useLineComments(id);

  const word = wordAt(text, caret);
  const suggestions = useSuggestions(id, facts.commands, word === null || word.word === dismissed ? null : word.word);
  const at = Math.min(chosen, suggestions.length - 1);

  useEffect(() => {
    if (text === '') localStorage.removeItem(draftKey(id));
    else localStorage.setItem(draftKey(id), text);
    const area = box.current;
    if (area === null) return;
    area.style.height = 'auto';
    area.style.height = `${Math.min(area.scrollHeight, 280)}px`;
  }, [text, id]);

  const ready = !sending && (text.trim() !== '' || images.length > 0 || comments.length > 0);

  async function send(): Promise<void> {
    if (!ready) return;
    setSending(true);
    const said = [commentsAsText(comments), text.trim()].filter(Boolean).join('\n\n');
    const mentioned = [...new Set([...text.matchAll(/(?:^|\s)@([^\s@]+)/g)].map((match) => match[1]!))].filter((path) =>
      /[./]/.test(path),
    );
    try {
      await client.sessions.prompt(id, {
        prompt: [
          ...(said === '' ? [] : [{ type: 'text' as const, text: said }]),
          ...mentioned.map((path) => ({ type: 'resource_link' as const, uri: fileUri(session.cwd, path), name: path })),
          ...images.map(({ mimeType, data }) => ({ type: 'image' as const, mimeType, data })),
        ],
      });
      setText('');
      setImages([]);
      clearLineComments(id);
    } catch (error) {
      toast(`Not sent: ${messageOf(error)}`, true);
    } finally {
      setSending(false);
      box.current?.focus();
    }
  }

  function complete(index: number): void {
    const suggestion = suggestions[index];
    if (suggestion === undefined || word === null) return;
    const next = text.slice(0, word.start) + suggestion.insert + text.slice(caret);
    const end = word.start + suggestion.insert.length;
    setText(next);
    setChosen(0);
    requestAnimationFrame(() => {
      box.current?.setSelectionRange(end, end);
      setCaret(end);
    });
  }

  function attach(files: Iterable<File>): void {
    for (const file of files) {
      readAttachment(file).then((image) => setImages((known) => [...known, image]), toastFailure('Not attached'));
    }
  }

  function onKeyDown(event: React.KeyboardEvent): void {
    if (suggestions.length > 0) {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        const step = event.key === 'ArrowDown' ? 1 : suggestions.length - 1;
        return setChosen((at + step) % suggestions.length);
      }
      if (event.key === 'Enter' || event.key === 'Tab') {
        event.preventDefault();
        return complete(at);
      }
      if (event.key === 'Escape') {
        event.stopPropagation();
        return setDismissed(word?.word ?? null);
      }
    }
    // While an input method composes, Enter ends the word, not the prompt.
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      void send();
    }
  }

  return (
    <div className="w-full px-4 pb-4 max-md:px-3 max-md:pb-3">
      <div className="relative mx-auto max-w-3xl rounded-2xl border border-line-strong bg-surface shadow-sm focus-within:border-accent">
        {suggestions.length > 0 && (
          <ul
            id={listId}
            role="listbox"
            aria-label="Suggestions"
            className="absolute bottom-full left-0 mb-2 max-h-72 w-full overflow-y-auto rounded-xl border border-line bg-surface p-1 shadow-xl"
          >
            {suggestions.map((suggestion, index) => (
              <li
                key={suggestion.insert}
                id={`${listId}-${index}`}
                role="option"
                aria-selected={index === at}
                onPointerDown={(event) => {
                  event.preventDefault();
                  complete(index);
                }}
                className={classNames('flex gap-3 rounded-lg px-3 py-1.5 text-sm', index === at && 'bg-hover')}
              >
                <span className="shrink-0 font-mono">{suggestion.label}</span>
                <span className="truncate text-muted">{suggestion.hint}</span>
              </li>
            ))}
          </ul>
        )}
        {(comments.length > 0 || images.length > 0) && (
          <ul aria-label="Goes along" className="flex flex-wrap gap-1.5 px-3 pt-3">
            {comments.map((comment) => (
              <Chip
                key={comment.id}
                onRemove={() => removeLineComment(id, comment.id)}
                label={`${sanitizeLine(comment.path)}:${comment.line}`}
              >
                <MessageSquareQuote aria-hidden className="size-3.5 shrink-0" />
                <span className="truncate">
                  {sanitizeLine(comment.path)}:{comment.line} {comment.text}
                </span>
              </Chip>
            ))}
            {images.map((image) => (
              <Chip
                key={image.id}
                onRemove={() => setImages((known) => known.filter((each) => each.id !== image.id))}
                label={image.name}
              >
                <img alt="" src={`data:${image.mimeType};base64,${image.data}`} className="h-6 rounded" />
                <span className="truncate">{image.name}</span>
              </Chip>
            ))}
          </ul>
        )}
        <textarea
          ref={box}
          rows={1}
          aria-label="Prompt"
          aria-controls={suggestions.length > 0 ? listId : undefined}
          aria-autocomplete="list"
          aria-activedescendant={suggestions.length > 0 ? `${listId}-${at}` : undefined}
          placeholder={
            busy
              ? 'Say what is next; it waits for this turn'
              : session.agent === 'shell'
                ? 'A script to run'
                : 'Say what is next; @ names a file, / a command'
          }
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setCaret(event.target.selectionStart);
            setDismissed(null);
          }}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart)}
          onKeyDown={onKeyDown}
          onPaste={(event) => {
            if (event.clipboardData.files.length === 0) return;
            event.preventDefault();
            attach(event.clipboardData.files);
          }}
          className="block max-h-72 min-h-11 w-full resize-none bg-transparent px-4 pt-3 pb-1 leading-snug outline-none placeholder:text-muted"
        />
        <div className="flex items-center gap-1 px-2 pb-2">
          <IconButton label="Attach an image" onClick={() => picker.current?.click()}>
            <ImagePlus />
          </IconButton>
          <input
            ref={picker}
            type="file"
            accept="image/png,image/jpeg,image/gif,image/webp"
            multiple
            hidden
            onChange={(event) => {
              attach(event.target.files ?? []);
              event.target.value = '';
            }}
          />
          <Choices session={session} facts={facts} />
          <span className="flex-1" />
          {facts.context !== null && (
            <span
              className="pr-2 text-xs text-muted max-sm:hidden"
              title={`${facts.context.used} of ${facts.context.size} tokens of context`}
            >
              {Math.round((100 * facts.context.used) / facts.context.size)} % of context
            </span>
          )}
          {busy && (
            <IconButton
              label="Interrupt"
              keys="Esc"
              onClick={() => void client.sessions.interrupt(id).catch(toastFailure('Not interrupted'))}
              className="border border-line-strong text-text"
            >
              <Square className="fill-current" />
            </IconButton>
          )}
          <IconButton
            label={busy ? 'Send after this turn' : 'Send'}
            keys="Enter"
            disabled={!ready}
            onClick={() => void send()}
            className="bg-accent text-accent-text hover:bg-accent hover:text-accent-text hover:brightness-110"
          >
            <ArrowUp />
          </IconButton>
        </div>
      </div>
    </div>
  );
}

/** The agent's modes, and its other choices: the model, above all. */
function Choices({ session, facts }: { session: Session; facts: Facts }) {
  const mode = facts.modes.find((each) => each.id === facts.modeId);
  const others = facts.options.filter((option) => option.id !== 'mode');
  return (
    <>
      {facts.modes.length > 1 && (
        <Menu align="start" trigger={<Chooser label="Mode" value={mode?.name ?? 'mode'} />}>
          <MenuChoices
            label="Mode"
            value={facts.modeId ?? ''}
            choices={facts.modes.map(({ id, name }) => ({ value: id, label: name }))}
            onChange={(value) => void client.sessions.setMode(session.id, value).catch(toastFailure('Mode not set'))}
          />
        </Menu>
      )}
      {others.map((option) => (
        <Menu
          key={option.id}
          align="start"
          trigger={
            <Chooser
              label={option.name}
              value={option.values.find((each) => each.value === option.currentValue)?.name ?? option.name}
            />
          }
        >
          <MenuChoices
            label={option.name}
            value={String(option.currentValue ?? '')}
            choices={option.values.map(({ value, name }) => ({ value, label: name }))}
            onChange={(value) =>
              void client.sessions.setConfig(session.id, option.id, value).catch(toastFailure(`${option.name} not set`))
            }
          />
        </Menu>
      ))}
    </>
  );
}

function Chooser({ label, value, ...rest }: { label: string; value: string } & React.ComponentProps<'button'>) {
  return (
    <button
      type="button"
      aria-label={`${label}: ${value}`}
      className="h-8 max-w-40 truncate rounded-lg px-2 text-[0.82rem] text-muted hover:bg-hover hover:text-text"
      {...rest}
    >
      {value}
    </button>
  );
}

function Chip({ children, label, onRemove }: { children: React.ReactNode; label: string; onRemove: () => void }) {
  return (
    <li className="flex max-w-64 items-center gap-1.5 rounded-lg bg-raised py-1 pr-1 pl-2 text-xs">
      {children}
      <button type="button" aria-label={`Remove ${label}`} onClick={onRemove} className="rounded p-0.5 hover:bg-hover">
        <X className="size-3" />
      </button>
    </li>
  );
}

function fileUri(cwd: string, path: string): string {
  return `file://${`${cwd}/${path}`.split('/').map(encodeURIComponent).join('/')}`;
}
