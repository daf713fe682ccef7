import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { priority } from '../../../../src/protocol/api.ts';
import type { Quota, QuotaSubject, QuotaView } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { meQuery, ownQuotaQuery, quotaQuery, teamsQuery, usersQuery } from '../../queries.ts';
import { Field, Input, Select } from '../../ui/field.tsx';
import { FormCard } from '../../ui/form-card.tsx';
import { Meter } from '../../ui/meter.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { bytes } from '../../ui/time.ts';
import { toast } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';

const gib = 1024 ** 3;

/** How much of the machine users and teams may have; an owner changes it, others see their own. */
export function Quotas() {
  const me = useQuery(meQuery);
  return (
    <section aria-labelledby="quotas" className="space-y-3">
      <h2 id="quotas" className="font-semibold">
        Quotas
      </h2>
      <p className="text-sm text-muted">
        How much of this installation somebody may have at once. Work beyond the slots waits in the queue; a session
        beyond the rest is refused.
      </p>
      {me.data?.role === 'owner' ? <All /> : <Own />}
    </section>
  );
}

function Own() {
  const quota = useQuery(ownQuotaQuery);
  if (quota.isPending) return <Loading />;
  if (quota.isError) return <Failure error={quota.error} onRetry={() => void quota.refetch()} />;
  return (
    <div className="rounded-xl border border-line bg-surface p-4">
      <Used view={quota.data} />
    </div>
  );
}

function All() {
  const users = useQuery(usersQuery);
  const teams = useQuery(teamsQuery);
  const [chosen, setChosen] = useState<string | null>(null);
  const first = users.data?.[0]?.handle;
  const [kind, name] = (chosen ?? (first === undefined ? '' : `user ${first}`)).split(' ') as [QuotaSubject['kind'], string];
  const quota = useQuery(quotaQuery({ kind, name }, name !== undefined));
  return (
    <>
      <Select
        aria-label="Whose quota"
        className="!w-60"
        value={`${kind} ${name ?? ''}`}
        onChange={(event) => setChosen(event.target.value)}
      >
        <optgroup label="Users">
          {(users.data ?? []).map((each) => (
            <option key={each.handle} value={`user ${each.handle}`}>
              {each.handle}
            </option>
          ))}
        </optgroup>
        <optgroup label="Teams">
          {(teams.data ?? []).map((each) => (
            <option key={each.name} value={`team ${each.name}`}>
              {each.name}
            </option>
          ))}
        </optgroup>
      </Select>
      {quota.isError && <Failure error={quota.error} onRetry={() => void quota.refetch()} />}
      {quota.data !== undefined && <Edit key={`${kind} ${name}`} view={quota.data} />}
    </>
  );
}

function Used({ view: { quota, serverDefault, used } }: { view: QuotaView }) {
  const { slots = 0, sessions = 0, diskBytes = 0, priority: highest } = { ...serverDefault, ...quota };
  return (
    <div className="grid gap-4 sm:grid-cols-3">
      <Meter label="Slots" used={used.slots} limit={slots} format={String} />
      <Meter label="Sessions" used={used.sessions} limit={sessions} format={String} />
      <Meter label="Disk" used={used.diskBytes} limit={diskBytes} format={bytes} />
      {highest !== undefined && <p className="text-sm text-muted sm:col-span-3">Highest priority: {highest}</p>}
    </div>
  );
}

function Edit({ view }: { view: QuotaView }) {
  const queries = useQueryClient();
  const submit = useSubmit('quota.slots', 'quota.sessions', 'quota.diskBytes', 'quota.priority');
  const { subject, quota, serverDefault } = view;
  const text = (value: number | undefined): string => (value === undefined ? '' : String(value));
  const [slots, setSlots] = useState(text(quota?.slots));
  const [sessions, setSessions] = useState(text(quota?.sessions));
  const [disk, setDisk] = useState(text(quota?.diskBytes === undefined ? undefined : quota.diskBytes / gib));
  const [highest, setHighest] = useState<string>(quota?.priority ?? '');

  async function save(): Promise<void> {
    const next: Quota = {
      ...(slots === '' ? {} : { slots: Number(slots) }),
      ...(sessions === '' ? {} : { sessions: Number(sessions) }),
      ...(disk === '' ? {} : { diskBytes: Math.round(Number(disk) * gib) }),
      ...(highest === '' ? {} : { priority: priority.parse(highest) }),
    };
    const set = await client.quotas.set(subject, Object.keys(next).length === 0 ? null : next);
    queries.setQueryData(quotaQuery(subject, true).queryKey, set);
    toast(`The quota of ${subject.name} is saved`);
  }
  const figure = (
    label: string,
    field: string,
    value: string,
    onChange: (value: string) => void,
    fallback: number | undefined,
  ) => (
    <Field label={label} error={submit.errorOf(`quota.${field}`)}>
      {(control) => (
        <Input
          {...control}
          type="number"
          min={0}
          step="any"
          placeholder={fallback === undefined ? 'no limit' : String(fallback)}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
  return (
    <FormCard title={`Quota of ${subject.kind === 'team' ? 'the team ' : ''}${subject.name}`} action="Save quota" submit={submit} onSubmit={save}>
      <Used view={view} />
      <div className="grid grid-cols-2 gap-3 sm:grid-cols-4">
        {figure('Slots', 'slots', slots, setSlots, serverDefault.slots)}
        {figure('Sessions', 'sessions', sessions, setSessions, serverDefault.sessions)}
        {figure(
          'Disk in GiB',
          'diskBytes',
          disk,
          setDisk,
          serverDefault.diskBytes === undefined ? undefined : serverDefault.diskBytes / gib,
        )}
        <Field label="Highest priority" error={submit.errorOf('quota.priority')}>
          {(control) => (
            <Select {...control} value={highest} onChange={(event) => setHighest(event.target.value)}>
              <option value="">{serverDefault.priority ?? 'any'}</option>
              {priority.options.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </Select>
          )}
        </Field>
      </div>
    </FormCard>
  );
}
