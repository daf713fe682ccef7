import { useQueryClient } from '@tanstack/react-query';
import { GitPullRequestArrow } from 'lucide-react';
import { useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { BranchState, Session } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { branchQuery } from '../queries.ts';
import { titleOf } from '../sessions/title.ts';
import { Button } from '../ui/button.tsx';
import { Field, Input, TextArea } from '../ui/field.tsx';
import { Failure } from '../ui/states.tsx';
import { toast } from '../ui/toasts.tsx';
import { useSubmit } from '../ui/use-submit.ts';

/** Makes a pull request of the branch, or brings what is new to the one there is. */
export function OpenPull({ session, branch, working }: { session: Session; branch: BranchState; working: boolean }) {
  const queries = useQueryClient();
  const submit = useSubmit('title', 'body', 'base');
  const [open, setOpen] = useState(false);
  const [title, setTitle] = useState(() => titleOf(session).slice(0, 256));
  const [body, setBody] = useState('');
  const [base, setBase] = useState(branch.baseBranch ?? '');

  async function send(): Promise<void> {
    const pull = await client.sessions.openPullRequest(session.id, {
      ...(title.trim() === '' ? {} : { title: title.trim() }),
      ...(body.trim() === '' ? {} : { body }),
      ...(base.trim() === '' ? {} : { base: base.trim() }),
    });
    await queries.invalidateQueries({ queryKey: branchQuery(session.id, true).queryKey });
    setOpen(false);
    toast(`Pull request #${pull.number} ${pull.opened ? 'is open' : 'has what was new'}`);
  }

  if (branch.refusal !== null) {
    return <p className="text-sm text-muted">No pull request can be made: {sanitizeLine(branch.refusal)}.</p>;
  }
  if (branch.commits.length === 0 && branch.changedFiles === 0) {
    return <p className="text-sm text-muted">Nothing differs from the base yet, so there is no pull request to make.</p>;
  }
  const waits = working ? 'The agent works. When its turn has ended, a pull request can be made.' : null;
  if (branch.pull !== null) {
    return (
      <div className="space-y-2">
        {submit.failure !== null && <Failure error={submit.failure} />}
        <Button disabled={submit.busy || working} onClick={() => submit.run(send)}>
          <GitPullRequestArrow aria-hidden className="size-4" />
          {submit.busy ? 'Pushing…' : 'Push what is new to it'}
        </Button>
        {waits !== null && <p className="text-sm text-muted">{waits}</p>}
      </div>
    );
  }
  if (!open) {
    return (
      <div className="space-y-2">
        <Button tone="accent" disabled={working} onClick={() => setOpen(true)}>
          <GitPullRequestArrow aria-hidden className="size-4" />
          Create pull request
        </Button>
        {waits !== null && <p className="text-sm text-muted">{waits}</p>}
      </div>
    );
  }
  return (
    <form
      aria-label="Create pull request"
      className="space-y-3 rounded-xl border border-line bg-surface p-3.5"
      onSubmit={(event) => {
        event.preventDefault();
        submit.run(send);
      }}
    >
      <Field label="Title" error={submit.errorOf('title')}>
        {(control) => (
          <Input {...control} autoFocus required maxLength={256} value={title} onChange={(event) => setTitle(event.target.value)} />
        )}
      </Field>
      <Field label="Description" hint="Markdown. Empty: who made it" error={submit.errorOf('body')}>
        {(control) => (
          <TextArea {...control} rows={4} value={body} onChange={(event) => setBody(event.target.value)} />
        )}
      </Field>
      <Field label="Into the branch" error={submit.errorOf('base')}>
        {(control) => <Input {...control} value={base} onChange={(event) => setBase(event.target.value)} />}
      </Field>
      <p className="text-[0.82rem] text-muted">
        What is not committed goes into a commit of this title. Then the branch is pushed, and all who see the repository
        see it.
      </p>
      {submit.failure !== null && <Failure error={submit.failure} />}
      <div className="flex justify-end gap-2">
        <Button disabled={submit.busy} onClick={() => setOpen(false)}>
          Cancel
        </Button>
        <Button type="submit" tone="accent" disabled={submit.busy || working}>
          {submit.busy ? 'Pushing…' : 'Push and create'}
        </Button>
      </div>
    </form>
  );
}
