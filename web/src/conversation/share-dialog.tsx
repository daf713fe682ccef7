import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session, Share, ShareRight } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { sharesQuery, teamsQuery, usersQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { confirmed } from '../ui/confirm.tsx';
import { Checks } from '../ui/checks.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Field, Select } from '../ui/field.tsx';
import { Failure, Loading } from '../ui/states.tsx';
import { toastFailure } from '../ui/toasts.tsx';
import { useSubmit } from '../ui/use-submit.ts';

const rights: readonly { value: ShareRight; label: string; hint: string }[] = [
  { value: 'view', label: 'Look', hint: 'conversation, files' },
  { value: 'prompt', label: 'Work in it', hint: 'prompts, terminals' },
  { value: 'answer', label: 'Answer', hint: 'what the agent asks' },
];

/** With whom a session is shared, and what they may do with it. */
export function ShareDialog({ session, onClose }: { session: Session; onClose: () => void }) {
  const queries = useQueryClient();
  const query = sharesQuery(session.id);
  const shares = useQuery(query);
  const again = () => queries.invalidateQueries({ queryKey: query.queryKey });
  async function remove({ subject }: Share): Promise<void> {
    const lost = 'What they have open of this session ends at once: the conversation, terminals, previews.';
    const title = `Share it no more with ${sanitizeLine(subject.name)}?`;
    if (!(await confirmed({ title, lost, action: 'Unshare' }))) return;
    await client.shares.remove(session.id, subject);
    await again();
  }
  return (
    <Dialog
      open
      onClose={onClose}
      title="Share this session"
      description={`It is ${sanitizeLine(session.owner)}'s${session.team === null ? '' : ` and the team ${sanitizeLine(session.team)}'s`}.`}
    >
      {shares.isPending && <Loading />}
      {shares.isError && <Failure error={shares.error} onRetry={() => void shares.refetch()} />}
      {shares.data?.length === 0 && <p className="mb-4 text-sm text-muted">It is shared with nobody else.</p>}
      <ul className="mb-4 space-y-1.5">
        {shares.data?.map((share) => (
          <Row
            key={`${share.subject.kind} ${share.subject.name}`}
            share={share}
            onRemove={() => void remove(share).catch(toastFailure('Not changed'))}
          />
        ))}
      </ul>
      <Add session={session} onShared={again} />
    </Dialog>
  );
}

function Row({ share: { subject, rights: held }, onRemove }: { share: Share; onRemove: () => void }) {
  const name = sanitizeLine(subject.name);
  return (
    <li className="flex items-center gap-3 rounded-lg border border-line px-3 py-2">
      <p className="min-w-0 flex-1 truncate">
        <span className="font-medium">{name}</span>
        {subject.kind === 'team' && <span className="text-muted"> (team)</span>}
        <span className="block text-xs text-muted">
          {rights
            .filter((each) => held.includes(each.value))
            .map((each) => each.label)
            .join(', ')}
        </span>
      </p>
      <Button size="small" aria-label={`Remove ${name}`} onClick={onRemove}>
        Remove
      </Button>
    </li>
  );
}

function Add({ session, onShared }: { session: Session; onShared: () => Promise<void> }) {
  const users = useQuery(usersQuery);
  const teams = useQuery(teamsQuery);
  const submit = useSubmit('name', 'rights');
  const [subject, setSubject] = useState('');
  const [chosen, setChosen] = useState<ShareRight[]>(['view']);
  async function share(): Promise<void> {
    const [kind, name] = subject.split(' ') as [Share['subject']['kind'], string];
    await client.shares.set(session.id, { kind, name }, chosen);
    setSubject('');
    await onShared();
  }
  return (
    <form
      aria-label="Share"
      className="space-y-3 border-t border-line pt-4"
      onSubmit={(event) => {
        event.preventDefault();
        submit.run(share);
      }}
    >
      <Field label="With" error={submit.errorOf('name')}>
        {(control) => (
          <Select {...control} value={subject} onChange={(event) => setSubject(event.target.value)}>
            <option value="">Choose a person or a team</option>
            <optgroup label="People">
              {(users.data ?? [])
                .filter((user) => user.handle !== session.owner && user.disabledAt === null)
                .map((user) => (
                  <option key={user.handle} value={`user ${user.handle}`}>
                    {user.displayName === user.handle ? user.handle : `${sanitizeLine(user.displayName)} (${user.handle})`}
                  </option>
                ))}
            </optgroup>
            <optgroup label="Teams">
              {(teams.data ?? []).map((team) => (
                <option key={team.name} value={`team ${team.name}`}>
                  {sanitizeLine(team.displayName)}
                </option>
              ))}
            </optgroup>
          </Select>
        )}
      </Field>
      <Checks label="They may" choices={rights} value={chosen} onChange={setChosen} />
      {submit.failure !== null && <Failure error={submit.failure} />}
      <div className="flex justify-end">
        <Button type="submit" tone="accent" disabled={submit.busy || subject === '' || chosen.length === 0}>
          Share
        </Button>
      </div>
    </form>
  );
}
