import { useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { keyScope, modelApi } from '../../../../src/protocol/keys.ts';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { CreateKeyInput, ModelKeyView } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { agentsQuery, keysQuery, meQuery } from '../../queries.ts';
import { Button } from '../../ui/button.tsx';
import { confirmed } from '../../ui/confirm.tsx';
import { Field, Input, Select } from '../../ui/field.tsx';
import { FormCard } from '../../ui/form-card.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { clockTime } from '../../ui/time.ts';
import { toast, toastFailure } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';
import { Table } from '../table.tsx';

type Api = CreateKeyInput['api'];
type Scope = NonNullable<CreateKeyInput['scope']>;
const apiNames: Record<Api, string> = { anthropic: 'Anthropic', openai: 'OpenAI', gemini: 'Gemini' };

export function ModelKeys() {
  const queries = useQueryClient();
  const me = useQuery(meQuery);
  const keys = useQuery(keysQuery);
  const isOwner = me.data?.role === 'owner';
  const mayDelete = (key: ModelKeyView): boolean =>
    isOwner ||
    (key.scope === 'user' && key.subject === me.data?.user) ||
    (key.scope === 'team' && me.data?.teams.some((each) => each.team === key.subject && each.role === 'owner') === true);
  async function remove(key: ModelKeyView): Promise<void> {
    const lost = 'Agents that call models with it are refused from their next call on. Berth cannot show it again; the provider still knows it.';
    if (!(await confirmed({ title: `Delete the key ${sanitizeLine(key.name)}?`, lost, action: 'Delete the key' }))) return;
    await client.keys.delete(key.id);
    await keysChanged(queries);
  }
  async function rotate(): Promise<void> {
    const lost = 'Every stored secret is sealed anew. The data key in use now goes with the next rotation after this; older ones go now, and backups sealed with them open no more.';
    if (!(await confirmed({ title: 'Rotate the data key?', lost, action: 'Rotate' }))) return;
    const { resealed } = await client.keys.rotate();
    toast(`${resealed} secrets are sealed with a new data key`);
  }
  return (
    <section aria-labelledby="model-keys" className="space-y-3">
      <div className="flex items-center gap-3">
        <h2 id="model-keys" className="flex-1 font-semibold">
          For models
        </h2>
        {isOwner && (
          <Button size="small" onClick={() => void rotate().catch(toastFailure('Not rotated'))}>
            Rotate the data key
          </Button>
        )}
      </div>
      {keys.isPending && <Loading />}
      {keys.isError && <Failure error={keys.error} onRetry={() => void keys.refetch()} />}
      {keys.data?.length === 0 && <p className="text-sm text-muted">None is kept here yet.</p>}
      {keys.data !== undefined && keys.data.length > 0 && (
        <Table label="Model keys" head={['Name', 'API', 'For', 'Kind', 'Since', '']}>
          {keys.data.map((key) => (
            <tr key={key.id}>
              <td className="font-medium">{sanitizeLine(key.name)}</td>
              <td>
                {apiNames[key.api]}
                {key.baseUrl !== null && <span className="block text-xs break-all text-muted">{sanitizeLine(key.baseUrl)}</span>}
              </td>
              <td>{key.subject === null ? 'everybody' : `${key.scope === 'team' ? 'team ' : ''}${sanitizeLine(key.subject)}`}</td>
              <td>
                {key.kind === 'oauth' ? 'sign-in' : 'key'}
                {key.expiresAt !== null && (
                  <span className="block text-xs text-muted">
                    {key.renews ? 'renews itself' : `ends ${clockTime(key.expiresAt)}`}
                  </span>
                )}
              </td>
              <td className="whitespace-nowrap text-muted">{clockTime(key.createdAt)}</td>
              <td className="text-right">
                {mayDelete(key) && (
                  <Button size="small" aria-label={`Delete ${sanitizeLine(key.name)}`} onClick={() => void remove(key).catch(toastFailure('Not deleted'))}>
                    Delete
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      <Add />
    </section>
  );
}

/** Which agents can work hangs on the keys. */
async function keysChanged(queries: QueryClient): Promise<void> {
  await Promise.all(
    [keysQuery, agentsQuery].map(({ queryKey }) => queries.invalidateQueries({ queryKey: queryKey as readonly string[] })),
  );
}

function Add() {
  const queries = useQueryClient();
  const me = useQuery(meQuery);
  const submit = useSubmit('name', 'api', 'secret', 'team', 'baseUrl');
  const [name, setName] = useState('');
  const [api, setApi] = useState<Api>('anthropic');
  const [holder, setHolder] = useState<string>('user');
  const [apiKey, setApiKey] = useState('');
  const [baseUrl, setBaseUrl] = useState('');
  const isOwner = me.data?.role === 'owner';
  const teams = (me.data?.teams ?? []).filter((each) => each.role === 'owner');

  async function add(): Promise<void> {
    const [scope, team] = holder.split(':') as [Scope, string?];
    await client.keys.create({
      name: name.trim(),
      api,
      scope: keyScope.parse(scope),
      secret: { apiKey: apiKey.trim() },
      ...(team === undefined ? {} : { team }),
      ...(baseUrl.trim() === '' ? {} : { baseUrl: baseUrl.trim() }),
    });
    setName('');
    setApiKey('');
    setBaseUrl('');
    await keysChanged(queries);
  }
  return (
    <FormCard title="Add a model key" action="Add key" submit={submit} onSubmit={add}>
      <div className="grid gap-3 sm:grid-cols-3">
        <Field label="Key name" error={submit.errorOf('name')}>
          {(control) => <Input {...control} required value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label="API" error={submit.errorOf('api')}>
          {(control) => (
            <Select {...control} value={api} onChange={(event) => setApi(event.target.value as Api)}>
              {modelApi.options.map((each) => (
                <option key={each} value={each}>
                  {apiNames[each]}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label="Whose sessions use it" error={submit.errorOf('team')}>
          {(control) => (
            <Select {...control} value={holder} onChange={(event) => setHolder(event.target.value)}>
              <option value="user">Mine</option>
              {teams.map(({ team }) => (
                <option key={team} value={`team:${team}`}>
                  Team {team}
                </option>
              ))}
              {isOwner && <option value="server">Everybody's</option>}
            </Select>
          )}
        </Field>
      </div>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="The key" error={submit.errorOf('secret')}>
          {(control) => (
            <Input
              {...control}
              type="password"
              autoComplete="new-password"
              required
              value={apiKey}
              onChange={(event) => setApiKey(event.target.value)}
            />
          )}
        </Field>
        {isOwner && (
          <Field label="Address" hint="Empty: the API's own" error={submit.errorOf('baseUrl')}>
            {(control) => (
              <Input
                {...control}
                placeholder="https://…"
                value={baseUrl}
                onChange={(event) => setBaseUrl(event.target.value)}
              />
            )}
          </Field>
        )}
      </div>
    </FormCard>
  );
}
