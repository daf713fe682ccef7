import { Check, CheckCheck, Coins, ShieldQuestionMark, X } from 'lucide-react';
import { useState } from 'react';
import { isBudgetQuestion } from '../../../src/protocol/budget.ts';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { PermissionOption } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { useMay } from '../sessions/use-may.ts';
import { useKeys } from '../shell/keys.ts';
import { classNames } from '../ui/class-names.ts';
import { clockTime } from '../ui/time.ts';
import { toastFailure } from '../ui/toasts.tsx';
import { InlineDiff } from './inline-diff.tsx';
import type { Item } from './items.ts';
import { commandOf, editsOf, inputOf, outputOf, titleOfCall } from './tool-call.ts';

type Request = Item & { kind: 'permission' };

/**
 * Keys follow what an option does, never what the agent calls it: an agent that names its refusal "Yes" changes nothing about
 * which key allows.
 */
const keys: Record<PermissionOption['kind'], string> = {
  allow_once: 'y',
  allow_always: 'a',
  reject_once: 'n',
  reject_always: 'd',
};
const does: Record<PermissionOption['kind'], string> = {
  allow_once: 'allows it once',
  allow_always: 'allows it from now on',
  reject_once: 'refuses it',
  reject_always: 'refuses it from now on',
};

/** The same, of the server's own question about a budget. */
const doesToBudget: Record<PermissionOption['kind'], string> = {
  allow_once: 'raises the limit',
  allow_always: 'raises the limit',
  reject_once: 'stops the turn',
  reject_always: 'stops the turn',
};

/** What the agent wants to do, whole, and the answers. */
export function PermissionCard({
  request,
  sessionId,
  cwd,
  active,
}: {
  request: Request;
  sessionId: string;
  cwd: string | null;
  active: boolean;
}) {
  const { call, options, answer } = request;
  const [sent, setSent] = useState<string | null>(null);
  const open = answer === null;
  const mayAnswer = useMay(sessionId)('session:answer');
  const isBudget = isBudgetQuestion(request.requestId);
  const Icon = isBudget ? Coins : ShieldQuestionMark;

  function reply(option: PermissionOption): void {
    setSent(option.optionId);
    client.sessions.answerPermission(sessionId, request.requestId, option.optionId).catch((error: unknown) => {
      setSent(null);
      toastFailure('Not answered')(error);
    });
  }

  const bindings = Object.fromEntries(
    Object.entries(keys).flatMap(([kind, key]) => {
      const option = options.find((each) => each.kind === kind);
      return option === undefined || !open || !active || !mayAnswer || sent !== null ? [] : [[key, () => reply(option)]];
    }),
  );
  useKeys(bindings);

  const command = commandOf(call);
  const input = inputOf(call);
  const output = outputOf(call);
  if (!open) {
    const said =
      answer.outcome === 'selected'
        ? answer.name
        : answer.outcome === 'expired'
          ? `${isBudget ? 'stopped' : 'refused'}: nobody answered in time`
          : 'cancelled';
    return (
      <div className="flex items-center gap-2 rounded-lg border border-line bg-surface px-3 py-1.5 text-[0.9rem]">
        <Icon aria-hidden className="size-4 shrink-0 text-muted" />
        <span className="min-w-0 flex-1 truncate">{titleOfCall(call, cwd)}</span>
        <span className="shrink-0 text-muted">
          → {said}
          {answer.by !== null && ` · ${sanitizeLine(answer.by)}`}
        </span>
      </div>
    );
  }
  return (
    <section
      aria-label={isBudget ? 'Budget reached' : 'Permission wanted'}
      className="animate-appear rounded-xl border-2 border-warn/60 bg-surface p-4"
    >
      <h2 className="flex items-start gap-2.5 font-semibold">
        <Icon aria-hidden className="mt-0.5 size-5 shrink-0 text-warn" />
        <span className="min-w-0 break-words">{titleOfCall(call, cwd)}</span>
      </h2>
      {command !== null && command.trim() !== call.title.trim() && (
        <pre
          tabIndex={0}
          className="mt-2.5 max-h-64 overflow-auto rounded-lg bg-code px-3 py-2 font-mono text-[0.85rem] whitespace-pre-wrap"
        >
          {command}
        </pre>
      )}
      {editsOf(call).map((edit, index) => (
        <InlineDiff key={index} edit={edit} cwd={cwd} />
      ))}
      {output !== '' && <p className="mt-2 text-sm whitespace-pre-wrap text-muted">{output}</p>}
      {input !== null && (
        <details className="mt-2 text-sm">
          <summary className="text-muted">Everything that it sends</summary>
          <pre
            tabIndex={0}
            className="mt-1.5 max-h-64 overflow-auto rounded-lg bg-code px-3 py-2 font-mono text-[0.8rem] whitespace-pre-wrap"
          >
            {input}
          </pre>
        </details>
      )}
      {mayAnswer && (
        <div className="mt-3.5 flex flex-wrap gap-2">
        {options.map((option) => (
          <Answer
            key={option.optionId}
            option={option}
            does={(isBudget ? doesToBudget : does)[option.kind]}
            isFirst={options.find((each) => each.kind === option.kind) === option}
            hint={active && options.find((each) => each.kind === option.kind) === option ? keys[option.kind] : null}
            disabled={sent !== null}
            onClick={() => reply(option)}
          />
        ))}
        </div>
      )}
      <p className="mt-2.5 text-xs text-muted">
        {!mayAnswer && 'Somebody who may answer is asked. '}
        {isBudget ? 'The turn stops' : 'Refused'} by itself if nobody answers until {clockTime(request.expiresAt)}.
      </p>
    </section>
  );
}

function Answer({
  option,
  does: effect,
  isFirst,
  hint,
  disabled,
  onClick,
}: {
  option: PermissionOption;
  does: string;
  /** Of its kind: the one that the key stands for. */
  isFirst: boolean;
  hint: string | null;
  disabled: boolean;
  onClick: () => void;
}) {
  const Icon = option.kind === 'allow_once' ? Check : option.kind === 'allow_always' ? CheckCheck : X;
  return (
    <button
      type="button"
      disabled={disabled}
      onClick={onClick}
      title={effect}
      className={classNames(
        'inline-flex min-h-9 items-center gap-2 rounded-lg border px-3 py-1 text-left text-[0.93rem] font-medium disabled:opacity-50 max-md:flex-1',
        option.kind === 'allow_once' && isFirst && 'border-transparent bg-accent text-accent-text hover:brightness-110',
        (option.kind === 'allow_always' || (option.kind === 'allow_once' && !isFirst)) &&
          'border-accent/50 bg-accent-soft text-accent hover:brightness-95',
        !option.kind.startsWith('allow') && 'border-line-strong bg-surface hover:bg-hover',
      )}
    >
      <Icon aria-hidden className="size-4 shrink-0" />
      <span className="min-w-0 break-words">{sanitizeLine(option.name)}</span>
      <span className="sr-only">({effect})</span>
      {hint !== null && (
        <kbd
          aria-hidden
          className="rounded border border-current/30 px-1 font-mono text-[0.7rem] uppercase opacity-80 max-md:hidden"
        >
          {hint}
        </kbd>
      )}
    </button>
  );
}
