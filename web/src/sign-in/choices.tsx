import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import { client } from '../api.ts';
import { signInChoicesQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { returnPath } from './return-path.ts';

/** A button for each service by which people can sign in here; nothing where there is none. */
export function SignInChoices({ onFailure }: { onFailure: (error: unknown) => void }) {
  const choices = useQuery(signInChoicesQuery);
  const [going, setGoing] = useState<string | null>(null);
  if (choices.data === undefined || choices.data.length === 0) return null;

  async function go(provider: string): Promise<void> {
    setGoing(provider);
    try {
      const { url } = await client.accounts.signIn(provider, returnPath(window.location));
      window.location.assign(url);
    } catch (error) {
      setGoing(null);
      onFailure(error);
    }
  }

  return (
    <>
      <div className="space-y-2.5">
        {choices.data.map(({ name, label }) => (
          <Button key={name} tone="accent" className="w-full" disabled={going !== null} onClick={() => void go(name)}>
            {going === name ? `Going to ${sanitizeLine(label)}…` : `Continue with ${sanitizeLine(label)}`}
          </Button>
        ))}
      </div>
      <div className="my-5 flex items-center gap-3 text-sm text-muted" aria-hidden>
        <span className="h-px flex-1 bg-line" />
        or
        <span className="h-px flex-1 bg-line" />
      </div>
    </>
  );
}
