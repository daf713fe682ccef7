import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { client, messageOf } from '../api.ts';
import { signInChoicesQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { Field, Input } from '../ui/field.tsx';
import { Mark } from '../ui/mark.tsx';
import { SignInChoices } from './choices.tsx';
import { linkFailure } from './link.ts';

/** For who comes without a link, or with one that was used. */
export function SignIn() {
  const queries = useQueryClient();
  const hasChoices = (useQuery(signInChoicesQuery).data ?? []).length > 0;
  const [token, setToken] = useState('');
  const [error, setError] = useState(linkFailure());
  const [busy, setBusy] = useState(false);

  async function signIn(): Promise<void> {
    setBusy(true);
    setError(null);
    try {
      await client.login({ token: token.trim() });
      await queries.invalidateQueries();
    } catch (failure) {
      setError(messageOf(failure));
    } finally {
      setBusy(false);
    }
  }

  return (
    <main className="flex min-h-full items-center justify-center p-5">
      <div className="w-full max-w-sm rounded-2xl border border-line bg-surface p-7 shadow-sm">
        <Mark className="mb-4 size-10" />
        <h1 className="mb-5 text-xl font-semibold">Sign in to Berth</h1>
        <SignInChoices onFailure={(failure) => setError(messageOf(failure))} />
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void signIn();
          }}
        >
          <p className="mb-4 text-sm text-muted">
            Open the link that <code className="font-mono">make up</code> printed, or that an owner sent you. A new one comes
            from <code className="font-mono">berth open</code>.
          </p>
          <Field label="Or paste your token" error={error}>
            {(control) => (
              <Input
                {...control}
                type="password"
                name="token"
                placeholder="brth_…"
                autoComplete="current-password"
                value={token}
                onChange={(event) => setToken(event.target.value)}
                required
              />
            )}
          </Field>
          <Button tone={hasChoices ? 'plain' : 'accent'} type="submit" className="mt-4 w-full" disabled={busy || token.trim() === ''}>
            {busy ? 'Signing in…' : 'Sign in'}
          </Button>
        </form>
      </div>
    </main>
  );
}
