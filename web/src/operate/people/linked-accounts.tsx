import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { LinkedAccount } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { linkedAccountsQuery, signInChoicesQuery } from '../../queries.ts';
import { Button } from '../../ui/button.tsx';
import { confirmed } from '../../ui/confirm.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { clockTime } from '../../ui/time.ts';
import { toastFailure } from '../../ui/toasts.tsx';
import { Table } from '../table.tsx';

/** The caller's own accounts of other services; nothing on a server that has none of these. */
export function LinkedAccounts() {
  const choices = useQuery(signInChoicesQuery);
  const accounts = useQuery(linkedAccountsQuery);
  const offered = choices.data ?? [];
  if (offered.length === 0 && (accounts.data ?? []).length === 0) return null;
  return (
    <section aria-labelledby="accounts" className="space-y-3">
      <h2 id="accounts" className="font-semibold">
        How you sign in
      </h2>
      {accounts.isPending && <Loading />}
      {accounts.isError && <Failure error={accounts.error} onRetry={() => void accounts.refetch()} />}
      {accounts.data?.length === 0 && (
        <p className="text-sm text-muted">Link an account, and you can sign in with it: no link or token is needed then.</p>
      )}
      {accounts.data !== undefined && accounts.data.length > 0 && (
        <Table label="Your linked accounts" head={['Service', 'Account', 'Linked', 'Last used', '']}>
          {accounts.data.map((account) => (
            <Row key={account.id} account={account} />
          ))}
        </Table>
      )}
      <div className="flex flex-wrap gap-2">
        {offered.map(({ name, label }) => (
          <LinkButton key={name} provider={name} label={label} />
        ))}
      </div>
    </section>
  );
}

function LinkButton({ provider, label }: { provider: string; label: string }) {
  const [going, setGoing] = useState(false);
  async function link(): Promise<void> {
    setGoing(true);
    try {
      window.location.assign((await client.accounts.link(provider, '/people')).url);
    } catch (error) {
      setGoing(false);
      toastFailure('Not linked')(error);
    }
  }
  return (
    <Button disabled={going} onClick={() => void link()}>
      Link {sanitizeLine(label)}
    </Button>
  );
}

function Row({ account }: { account: LinkedAccount }) {
  const queries = useQueryClient();
  const name = `${sanitizeLine(account.service)} ${sanitizeLine(account.account)}`;
  async function unlink(): Promise<void> {
    const lost = 'It signs you in no more. Browsers that are signed in stay so: see your tokens.';
    if (!(await confirmed({ title: `Unlink ${name}?`, lost, action: 'Unlink' }))) return;
    await client.accounts
      .unlink(account.id)
      .then(() => queries.invalidateQueries({ queryKey: linkedAccountsQuery.queryKey }), toastFailure('Not unlinked'));
  }
  return (
    <tr>
      <td className="font-medium">{sanitizeLine(account.service)}</td>
      <td>{sanitizeLine(account.account)}</td>
      <td className="whitespace-nowrap text-muted">{clockTime(account.createdAt)}</td>
      <td className="whitespace-nowrap text-muted">{account.lastUsedAt === null ? 'never' : clockTime(account.lastUsedAt)}</td>
      <td className="text-right">
        <Button size="small" aria-label={`Unlink ${name}`} onClick={() => void unlink()}>
          Unlink
        </Button>
      </td>
    </tr>
  );
}
