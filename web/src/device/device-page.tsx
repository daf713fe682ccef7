import { useState, type ReactNode } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { DeviceRequest, TokenScope } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { Button } from '../ui/button.tsx';
import { Field, Input } from '../ui/field.tsx';
import { FormCard } from '../ui/form-card.tsx';
import { Card, Page } from '../ui/page.tsx';
import { Failure } from '../ui/states.tsx';
import { clockTime } from '../ui/time.ts';
import { useSubmit } from '../ui/use-submit.ts';

const meanings: Record<TokenScope, string> = {
  read: 'look at what you may look at',
  prompt: 'make sessions, prompt, and work in sandboxes',
  answer: 'answer what agents ask',
  manage: 'do everything with your sessions: prompt, answer, share, delete',
  admin: 'do everything that you may, your account and other tokens included',
};

/** Lets a program in that shows a code, such as `berth login`. */
export function DevicePage() {
  const [asked, setAsked] = useState<{ code: string; request: DeviceRequest } | null>(null);
  const [decided, setDecided] = useState<boolean | null>(null);
  return (
    <Page title="Let a program in" about="For a program that shows a code, such as berth login.">
      <div className="max-w-xl">
        {decided !== null && (
          <p role="status" className="rounded-xl border border-line bg-surface p-4">
            {decided ? 'It is let in: go back to it. Its token is among yours, under People.' : 'It was refused, and hears so.'}
          </p>
        )}
        {decided === null && asked === null && <Code onFound={(code, request) => setAsked({ code, request })} />}
        {decided === null && asked !== null && <Decide {...asked} onDecided={setDecided} onBack={() => setAsked(null)} />}
      </div>
    </Page>
  );
}

function Code({ onFound }: { onFound: (code: string, request: DeviceRequest) => void }) {
  const submit = useSubmit('code');
  const [code, setCode] = useState(() => new URLSearchParams(window.location.search).get('code')?.slice(0, 20) ?? '');
  async function look(): Promise<void> {
    onFound(code.trim(), await client.devices.get(code.trim()));
  }
  return (
    <FormCard title="Its code" action="Go on" submit={submit} onSubmit={look}>
      <Field label="Code" hint="Only one that a program of yours shows you just now" error={submit.errorOf('code')}>
        {(control) => (
          <Input
            {...control}
            required
            maxLength={20}
            placeholder="BCDF-GHJK"
            autoCapitalize="characters"
            className="font-mono text-lg tracking-widest uppercase"
            value={code}
            onChange={(event) => setCode(event.target.value)}
          />
        )}
      </Field>
    </FormCard>
  );
}

function Decide({
  code,
  request,
  onDecided,
  onBack,
}: {
  code: string;
  request: DeviceRequest;
  onDecided: (allowed: boolean) => void;
  onBack: () => void;
}) {
  const submit = useSubmit();
  const decide = (allow: boolean): void =>
    submit.run(async () => {
      await client.devices.decide(code, allow);
      onDecided(allow);
    });
  return (
    <Card title="It asks for a token of yours" className="space-y-4 p-4">
      <dl className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-1.5 text-[0.93rem]">
        <Fact name="Program">{sanitizeLine(request.client)}</Fact>
        <Fact name="From">{sanitizeLine(request.address)}</Fact>
        <Fact name="Asked">{clockTime(request.createdAt)}</Fact>
        <Fact name="Good for">{request.tokenDays} days, or until you revoke it</Fact>
      </dl>
      <div>
        <p className="text-sm font-medium">It could, in your name:</p>
        <ul className="mt-1 list-disc pl-5 text-[0.93rem]">
          {request.scopes.map((scope) => (
            <li key={scope}>{meanings[scope]}</li>
          ))}
        </ul>
      </div>
      <p className="rounded-lg bg-raised px-3 py-2 text-sm">
        Allow only what you began yourself, just now, on that machine. If somebody sent you this code, refuse.
      </p>
      {submit.failure !== null && <Failure error={submit.failure} onRetry={onBack} />}
      <div className="flex flex-wrap justify-end gap-2">
        <Button tone="danger" disabled={submit.busy} onClick={() => decide(false)}>
          Refuse
        </Button>
        <Button tone="accent" disabled={submit.busy} onClick={() => decide(true)}>
          Allow
        </Button>
      </div>
    </Card>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  );
}
