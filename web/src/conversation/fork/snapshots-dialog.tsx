import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Camera, GitFork } from 'lucide-react';
import { useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { Session, Snapshot } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { snapshotsQuery } from '../../queries.ts';
import { Button } from '../../ui/button.tsx';
import { confirmed } from '../../ui/confirm.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Field, Input } from '../../ui/field.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { bytes, clockTime } from '../../ui/time.ts';
import { toast, toastFailure } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';
import { useForking } from './forking.ts';

/** The session's snapshots: to make one, to begin from one, to remove one. */
export function SnapshotsDialog({ session, turnIsLost, onClose }: {
  session: Session;
  /** It was opened from a turn of which nothing was kept. */
  turnIsLost: boolean;
  onClose: () => void;
}) {
  const forking = useForking();
  const snapshots = useQuery(snapshotsQuery(session.id));
  return (
    <Dialog
      open
      onClose={onClose}
      title={turnIsLost ? 'This turn cannot be forked' : 'Snapshots'}
      description={
        turnIsLost
          ? 'No snapshot was taken after it, so its files and processes as they were then are gone. A fork begins at a snapshot, or at the present.'
          : 'A snapshot keeps the disk, and the conversation up to it. A fork of it is a new session with its own disk and branch.'
      }
    >
      <div className="mb-4 flex items-center gap-3 rounded-lg border border-line px-3 py-2">
        <p className="min-w-0 flex-1">
          <span className="font-medium">The present</span>
          <span className="block text-xs text-muted">As the session stands now; it goes on by itself.</span>
        </p>
        <Button size="small" onClick={() => forking.fork(null)}>
          <GitFork aria-hidden className="size-3.5" />
          Fork the present
        </Button>
      </div>
      {snapshots.isPending && <Loading />}
      {snapshots.isError && <Failure error={snapshots.error} onRetry={() => void snapshots.refetch()} />}
      {snapshots.data?.length === 0 && <p className="mb-4 text-sm text-muted">There is no snapshot of it yet.</p>}
      <ul aria-label="Snapshots" className="mb-4 space-y-1.5">
        {snapshots.data?.map((snapshot) => (
          <Row key={snapshot.id} snapshot={snapshot} />
        ))}
      </ul>
      <Make session={session} />
    </Dialog>
  );
}

function Row({ snapshot }: { snapshot: Snapshot }) {
  const queries = useQueryClient();
  const forking = useForking();
  const name = sanitizeLine(snapshot.name);
  async function remove(): Promise<void> {
    const lost = 'The moment that it keeps can be gone back to no more. Sessions that were forked from it stay.';
    if (!(await confirmed({ title: `Remove the snapshot ${name}?`, lost, action: 'Remove the snapshot' }))) return;
    await client.snapshots.delete(snapshot.id);
    await queries.invalidateQueries({ queryKey: snapshotsQuery(snapshot.sessionId).queryKey });
  }
  return (
    <li className="flex items-center gap-2 rounded-lg border border-line px-3 py-2">
      <p className="min-w-0 flex-1">
        <span className="block truncate font-medium">{name}</span>
        <span className="block text-xs text-muted">
          {clockTime(snapshot.createdAt)}
          {snapshot.memory && ' · with its processes'}
          {snapshot.sizeBytes !== null && ` · ${bytes(snapshot.sizeBytes)} of its own`}
        </span>
      </p>
      <Button size="small" aria-label={`Fork from ${name}`} onClick={() => forking.fork(snapshot.id)}>
        Fork
      </Button>
      <Button
        size="small"
        tone="danger"
        aria-label={`Remove ${name}`}
        onClick={() => void remove().catch(toastFailure('Not removed'))}
      >
        Remove
      </Button>
    </li>
  );
}

function Make({ session }: { session: Session }) {
  const queries = useQueryClient();
  const submit = useSubmit('name', 'memory');
  const [name, setName] = useState('');
  const [memory, setMemory] = useState(false);
  async function make(): Promise<void> {
    await client.snapshots.create(session.id, { name: name.trim(), memory });
    setName('');
    await queries.invalidateQueries({ queryKey: snapshotsQuery(session.id).queryKey });
    toast('The snapshot is taken; the session goes on');
  }
  return (
    <form
      aria-label="Take a snapshot"
      className="space-y-3 border-t border-line pt-4"
      onSubmit={(event) => {
        event.preventDefault();
        submit.run(make);
      }}
    >
      <Field label="Snapshot name" hint="Letters, digits, dots and dashes; yours alone" error={submit.errorOf('name')}>
        {(control) => <Input {...control} required value={name} onChange={(event) => setName(event.target.value)} />}
      </Field>
      <label className="inline-flex items-center gap-2 text-[0.92rem]">
        <input
          type="checkbox"
          checked={memory}
          onChange={(event) => setMemory(event.target.checked)}
          className="size-4 accent-accent"
        />
        With its processes and their memory
      </label>
      {submit.errorOf('memory') !== null && <p className="text-[0.82rem] text-bad">{submit.errorOf('memory')}</p>}
      {submit.failure !== null && <Failure error={submit.failure} />}
      <div className="flex justify-end">
        <Button type="submit" tone="accent" disabled={submit.busy || name.trim() === ''}>
          <Camera aria-hidden className="size-4" />
          {submit.busy ? 'Taking it…' : 'Take a snapshot'}
        </Button>
      </div>
    </form>
  );
}
