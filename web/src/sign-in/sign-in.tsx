import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { client, messageOf } from '../api.ts';
import { Button } from '../ui/button.tsx';
import { Field, Input } from '../ui/field.tsx';
import { Mark } from '../ui/mark.tsx';
import { linkFailure } from './link.ts';

/** For who comes without a link, or with one that was used. */
export function SignIn() {
  const queries = useQueryClient();
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
      <form
        className="w-full max-w-sm rounded-2xl border border-line bg-surface p-7 shadow-sm"
        onSubmit={(event) => {
          event.preventDefault();
          void signIn();
        }}
      >
        <Mark className="mb-4 size-10" />
        <h1 className="text-xl font-semibold">Sign in to Berth</h1>
        <p className="mt-1 mb-5 text-sm text-muted">
          Open the link that <code className="font-mono">make up</code> printed. A new one comes from{' '}
          <code className="font-mono">berth open</code>.
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
        <Button tone="accent" type="submit" className="mt-4 w-full" disabled={busy || token.trim() === ''}>
          {busy ? 'Signing in…' : 'Sign in'}
        </Button>
      </form>
    </main>
  );
}
