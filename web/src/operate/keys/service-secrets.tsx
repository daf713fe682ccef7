import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import { client } from '../../api.ts';
import { meQuery, secretsQuery } from '../../queries.ts';
import { Button } from '../../ui/button.tsx';
import { confirmed } from '../../ui/confirm.tsx';
import { Field, Input, Select } from '../../ui/field.tsx';
import { FormCard } from '../../ui/form-card.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { clockTime } from '../../ui/time.ts';
import { toastFailure } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';
import { Table } from '../table.tsx';

export function ServiceSecrets() {
  const queries = useQueryClient();
  const me = useQuery(meQuery);
  const [team, setTeam] = useState<string | null>(null);
  const secrets = useQuery(secretsQuery(team));
  const manages =
    team === null ||
    me.data?.role === 'owner' ||
    me.data?.teams.some((each) => each.team === team && each.role === 'owner') === true;
  const again = () => queries.invalidateQueries({ queryKey: ['secrets'] });
  async function remove(name: string): Promise<void> {
    const lost = 'Requests to its hosts go without it from now on. Berth cannot show its value again.';
    if (!(await confirmed({ title: `Remove the secret ${sanitizeLine(name)}?`, lost, action: 'Remove the secret' }))) return;
    await client.secrets.remove(name, team === null ? {} : { team });
    await again();
  }
  return (
    <section aria-labelledby="service-secrets" className="space-y-3">
      <div className="flex flex-wrap items-center gap-3">
        <h2 id="service-secrets" className="flex-1 font-semibold">
          For services that agents call
        </h2>
        <Select
          aria-label="Whose secrets"
          className="!w-44"
          value={team ?? ''}
          onChange={(event) => setTeam(event.target.value === '' ? null : event.target.value)}
        >
          <option value="">Mine</option>
          {(me.data?.teams ?? []).map((each) => (
            <option key={each.team} value={each.team}>
              Team {each.team}
            </option>
          ))}
        </Select>
      </div>
      {secrets.isPending && <Loading />}
      {secrets.isError && <Failure error={secrets.error} onRetry={() => void secrets.refetch()} />}
      {secrets.data?.length === 0 && (
        <p className="text-sm text-muted">None. A secret is put into requests to the hosts that it names.</p>
      )}
      {secrets.data !== undefined && secrets.data.length > 0 && (
        <Table label="Secrets" head={['Name', 'Hosts', 'Header', 'Changed', '']}>
          {secrets.data.map((secret) => (
            <tr key={secret.name}>
              <td className="font-medium">{sanitizeLine(secret.name)}</td>
              <td className="font-mono text-[0.85rem]">{secret.hosts.map(sanitizeLine).join(', ')}</td>
              <td className="font-mono text-[0.85rem]">
                {sanitizeLine(secret.header)}: {sanitizeLine(secret.template)}
              </td>
              <td className="whitespace-nowrap text-muted">{clockTime(secret.updatedAt)}</td>
              <td className="text-right">
                {manages && (
                  <Button
                    size="small"
                    aria-label={`Remove ${sanitizeLine(secret.name)}`}
                    onClick={() => void remove(secret.name).catch(toastFailure('Not removed'))}
                  >
                    Remove
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      {manages && <SetSecret team={team} onSet={again} />}
    </section>
  );
}

function SetSecret({ team, onSet }: { team: string | null; onSet: () => Promise<void> }) {
  const submit = useSubmit('name', 'hosts', 'header', 'template', 'value');
  const [name, setName] = useState('');
  const [hosts, setHosts] = useState('');
  const [header, setHeader] = useState('Authorization');
  const [template, setTemplate] = useState('Bearer {value}');
  const [value, setValue] = useState('');
  async function set(): Promise<void> {
    await client.secrets.set(
      name.trim(),
      { hosts: hosts.split(/[\s,]+/).filter((host) => host !== ''), header: header.trim(), template: template.trim(), value },
      team === null ? {} : { team },
    );
    setName('');
    setHosts('');
    setValue('');
    await onSet();
  }
  return (
    <FormCard title="Set a secret" action="Set secret" submit={submit} onSubmit={set}>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="Secret name" hint="One of the same name is replaced" error={submit.errorOf('name')}>
          {(control) => <Input {...control} required value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label="Hosts" hint="The only ones that get it" error={submit.errorOf('hosts')}>
          {(control) => (
            <Input
              {...control}
              required
              placeholder="api.example.org"
              value={hosts}
              onChange={(event) => setHosts(event.target.value)}
            />
          )}
        </Field>
        <Field label="Header" error={submit.errorOf('header')}>
          {(control) => (
            <Input {...control} required value={header} onChange={(event) => setHeader(event.target.value)} />
          )}
        </Field>
        <Field label="What the header says" error={submit.errorOf('template')}>
          {(control) => (
            <Input {...control} required value={template} onChange={(event) => setTemplate(event.target.value)} />
          )}
        </Field>
      </div>
      <Field label="Value" error={submit.errorOf('value')}>
        {(control) => (
          <Input
            {...control}
            type="password"
            autoComplete="new-password"
            required
            value={value}
            onChange={(event) => setValue(event.target.value)}
          />
        )}
      </Field>
    </FormCard>
  );
}
