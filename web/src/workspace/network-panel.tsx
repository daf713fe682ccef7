import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { EgressDecision, EgressPolicy, EgressPreset, EgressView } from '../../../src/protocol/egress.ts';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { egressQuery } from '../queries.ts';
import { useMay } from '../sessions/use-may.ts';
import { ruleFor } from './egress-rule.ts';
import { Button } from '../ui/button.tsx';
import { Checks } from '../ui/checks.tsx';
import { Field, TextArea } from '../ui/field.tsx';
import { Failure, Loading } from '../ui/states.tsx';
import { clockTime } from '../ui/time.ts';
import { toast, toastFailure } from '../ui/toasts.tsx';
import { useSubmit } from '../ui/use-submit.ts';

const presets: readonly { value: EgressPreset; label: string }[] = [
  { value: 'packages', label: 'Package registries' },
  { value: 'git', label: 'Code hosts' },
  { value: 'open', label: 'Every public host' },
  { value: 'full', label: 'A network of its own (any protocol)' },
];

/** Where the session connected to, what was refused, and what decides. */
export function NetworkPanel({ session }: { session: Session }) {
  const queries = useQueryClient();
  const query = egressQuery(session.id);
  const egress = useQuery(query);
  const mayChange = useMay(session.id)('session:manage');
  const show = (view: EgressView): void => void queries.setQueryData(query.queryKey, view);
  if (egress.isPending) return <Loading />;
  if (egress.isError) return <Failure error={egress.error} onRetry={() => void egress.refetch()} className="m-3" />;
  const { policy, isDefault, decisions } = egress.data;
  return (
    <div className="h-full space-y-6 overflow-y-auto p-4">
      <section>
        <h2 className="mb-2 text-sm font-semibold">Connections</h2>
        {decisions.length === 0 && <p className="text-sm text-muted">It connected to nothing yet.</p>}
        <ul className="space-y-1.5">
          {decisions.map((decision) => (
            <Decision
              key={`${decision.host}:${decision.port} ${decision.allowed}`}
              decision={decision}
              rules={policy.allow}
              onAllow={
                mayChange
                  ? (rule) =>
                      void client.egress.allow(session.id, rule).then((view) => {
                        show(view);
                        toast(`${rule} is allowed from the next connection on`);
                      }, toastFailure('Not allowed'))
                  : null
              }
            />
          ))}
        </ul>
      </section>
      <Policy
        key={JSON.stringify(policy)}
        policy={policy}
        isDefault={isDefault}
        onSet={mayChange ? async (next) => show(await client.egress.set(session.id, next)) : null}
      />
    </div>
  );
}

function Decision({
  decision,
  rules,
  onAllow,
}: {
  decision: EgressDecision;
  rules: readonly string[];
  /** `null`: not for who looks. */
  onAllow: ((rule: string) => void) | null;
}) {
  const host = sanitizeLine(decision.host);
  const rule = ruleFor(decision);
  return (
    <li className="flex items-center gap-3 rounded-lg border border-line bg-surface px-3 py-2">
      <div className="min-w-0 flex-1">
        <p className="truncate font-mono text-[0.85rem]">
          {host}
          <span className="text-muted">:{decision.port}</span>
        </p>
        <p className="text-xs break-words text-muted">
          <span className={decision.allowed ? 'text-good' : 'text-bad'}>{decision.allowed ? 'allowed' : 'refused'}</span>
          {' · '}
          {sanitizeLine(decision.reason)} · {decision.count === 1 ? 'once' : `${decision.count} times`},{' '}
          {clockTime(decision.lastAt)}
        </p>
      </div>
      {!decision.allowed &&
        (rules.includes(rule) ? (
          <span className="text-xs text-good">allowed since</span>
        ) : onAllow === null ? null : (
          <Button size="small" aria-label={`Allow ${host}`} onClick={() => onAllow(rule)}>
            Allow
          </Button>
        ))}
    </li>
  );
}

function Policy({
  policy,
  isDefault,
  onSet,
}: {
  policy: EgressPolicy;
  isDefault: boolean;
  /** `null`: not for who looks. */
  onSet: ((policy: EgressPolicy | null) => Promise<void>) | null;
}) {
  const submit = useSubmit('policy');
  const [chosen, setChosen] = useState<EgressPreset[]>(policy.presets);
  const [allow, setAllow] = useState(policy.allow.join('\n'));
  const save = async (): Promise<void> => {
    await onSet?.({ presets: chosen, allow: allow.split(/[\s,]+/).filter((rule) => rule !== '') });
    toast('The policy is saved');
  };
  return (
    <form
      aria-label="What it may connect to"
      className="space-y-3"
      onSubmit={(event) => {
        event.preventDefault();
        submit.run(save);
      }}
    >
      <div>
        <h2 className="text-sm font-semibold">What it may connect to</h2>
        <p className="text-xs text-muted">
          {isDefault ? "The server's default" : "The session's own"}; never private addresses.
        </p>
      </div>
      <fieldset disabled={onSet === null} className="space-y-3">
        <Checks label="Kinds of hosts" choices={presets} value={chosen} onChange={setChosen} />
      <Field label="Hosts besides" hint="One in a line: example.org, *.example.org, example.org:8443" error={submit.errorOf('policy')}>
        {(control) => (
          <TextArea
            {...control}
            rows={3}
            spellCheck={false}
            className="font-mono !text-[0.85rem]"
            value={allow}
            onChange={(event) => setAllow(event.target.value)}
          />
        )}
      </Field>
      </fieldset>
      {submit.failure !== null && <Failure error={submit.failure} />}
      {onSet !== null && (
        <div className="flex gap-2">
          <Button size="small" type="submit" disabled={submit.busy}>
            Save policy
          </Button>
          {!isDefault && (
            <Button size="small" tone="quiet" disabled={submit.busy} onClick={() => submit.run(() => onSet(null))}>
              Back to the server's default
            </Button>
          )}
        </div>
      )}
    </form>
  );
}
