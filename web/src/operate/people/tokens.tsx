import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { AddedToken, Token, TokenScope } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { tokensQuery } from '../../queries.ts';
import { Button } from '../../ui/button.tsx';
import { confirmed } from '../../ui/confirm.tsx';
import { Checks } from '../../ui/checks.tsx';
import { Field, Input, Select } from '../../ui/field.tsx';
import { FormCard } from '../../ui/form-card.tsx';
import { ShownOnce } from '../../ui/shown-once.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { clockTime } from '../../ui/time.ts';
import { toastFailure } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';
import { Table } from '../table.tsx';

const scopes: readonly { value: TokenScope; label: string; hint: string }[] = [
  { value: 'read', label: 'read', hint: 'look' },
  { value: 'prompt', label: 'prompt', hint: 'work in sessions' },
  { value: 'answer', label: 'answer', hint: 'permission requests' },
  { value: 'manage', label: 'manage', hint: 'all about sessions' },
  { value: 'admin', label: 'admin', hint: 'all that you may' },
];
const day = 86_400;
const lives = [
  ['1 day', day],
  ['30 days', 30 * day],
  ['90 days', 90 * day],
  ['1 year', 365 * day],
  ['It does not end', 0],
] as const;

/** The caller's own; another's are on no page. */
export function Tokens() {
  const tokens = useQuery(tokensQuery);
  const [made, setMade] = useState<AddedToken | null>(null);
  const valid = tokens.data?.filter((token) => token.revokedAt === null);
  return (
    <section aria-labelledby="tokens" className="space-y-3">
      <h2 id="tokens" className="font-semibold">
        Your tokens
      </h2>
      {tokens.isPending && <Loading />}
      {tokens.isError && <Failure error={tokens.error} onRetry={() => void tokens.refetch()} />}
      {made !== null && (
        <ShownOnce
          label={`The token ${sanitizeLine(made.token.name)}`}
          value={made.secret}
          note="It is not shown again."
          onClose={() => setMade(null)}
        />
      )}
      {valid !== undefined && valid.length > 0 && (
        <Table label="Your tokens" head={['Name', 'For', 'Ends', 'Last used', '']}>
          {valid.map((token) => (
            <Row key={token.id} token={token} />
          ))}
        </Table>
      )}
      <Add onMade={setMade} />
    </section>
  );
}

function Row({ token }: { token: Token }) {
  const queries = useQueryClient();
  async function revoke(): Promise<void> {
    const lost = 'Whatever uses it is signed out at once, browsers too that signed in with it. It cannot be given back; make a new one.';
    if (!(await confirmed({ title: `Revoke the token ${sanitizeLine(token.name)}?`, lost, action: 'Revoke' }))) return;
    await client.tokens.revoke(token.id);
    await queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
  }
  return (
    <tr>
      <td className="font-medium">{sanitizeLine(token.name)}</td>
      <td>{token.scopes.join(', ')}</td>
      <td className="whitespace-nowrap">{token.expiresAt === null ? 'never' : clockTime(token.expiresAt)}</td>
      <td className="whitespace-nowrap text-muted">{token.lastUsedAt === null ? 'never' : clockTime(token.lastUsedAt)}</td>
      <td className="text-right">
        <Button size="small" aria-label={`Revoke ${sanitizeLine(token.name)}`} onClick={() => void revoke().catch(toastFailure('Not revoked'))}>
          Revoke
        </Button>
      </td>
    </tr>
  );
}

function Add({ onMade }: { onMade: (token: AddedToken) => void }) {
  const queries = useQueryClient();
  const submit = useSubmit('name', 'expiresInSeconds');
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState<TokenScope[]>(['manage']);
  const [life, setLife] = useState<number>(90 * day);
  async function add(): Promise<void> {
    onMade(await client.tokens.add({ name: name.trim(), scopes: chosen, expiresInSeconds: life === 0 ? null : life }));
    setName('');
    await queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
  }
  return (
    <FormCard title="Make a token" action="Make token" submit={submit} onSubmit={add}>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="What it is for" error={submit.errorOf('name')}>
          {(control) => <Input {...control} required value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label="Ends after" error={submit.errorOf('expiresInSeconds')}>
          {(control) => (
            <Select {...control} value={life} onChange={(event) => setLife(Number(event.target.value))}>
              {lives.map(([label, seconds]) => (
                <option key={seconds} value={seconds}>
                  {label}
                </option>
              ))}
            </Select>
          )}
        </Field>
      </div>
      <Checks label="It may" choices={scopes} value={chosen} onChange={setChosen} />
    </FormCard>
  );
}
