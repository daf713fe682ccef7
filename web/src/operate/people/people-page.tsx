import { Page } from '../../ui/page.tsx';
import { LinkedAccounts } from './linked-accounts.tsx';
import { Quotas } from './quotas.tsx';
import { Teams } from './teams.tsx';
import { Tokens } from './tokens.tsx';
import { Users } from './users.tsx';

export function PeoplePage() {
  return (
    <Page title="People" about="Who may sign in, in which teams they are, how you sign in, and your own tokens.">
      <div className="space-y-8">
        <Users />
        <Teams />
        <Quotas />
        <LinkedAccounts />
        <Tokens />
      </div>
    </Page>
  );
}
