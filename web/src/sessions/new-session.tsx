import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useId, useMemo, useRef, useState } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import { BerthError, type CreateSessionInput } from '../../../src/sdk/index.ts';
import { client, messageOf } from '../api.ts';
import { agentsQuery, repositoriesQuery, sessionsQuery, templatesQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { Field, Input, Select, TextArea } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Failure } from '../ui/states.tsx';
import { KeyNotice } from './key-notice.tsx';

type Permissions = NonNullable<CreateSessionInput['permissions']>;
const permissionChoices: Record<Permissions, { label: string; hint: string }> = {
  policy: { label: 'By rules, ask for the rest', hint: 'Rules answer what is harmless; you are asked for the rest.' },
  ask: { label: 'Always ask me', hint: 'You are asked before it acts.' },
  allow: { label: 'Allow without asking', hint: 'It may do what stays inside its sandbox.' },
};

/** Where a session begins: what to work on, who works, and the first thing to say. */
export function NewSession() {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const agents = useQuery(agentsQuery);
  const templates = useQuery(templatesQuery);
  const known = useKnownRepositories();
  const listId = useId();
  const form = useRef<HTMLFormElement>(null);

  const [repository, setRepository] = useState('');
  const [branch, setBranch] = useState('');
  const [agent, setAgent] = useState(() => localStorage.getItem('berth.agent') ?? 'claude');
  const [template, setTemplate] = useState('');
  const [permissions, setPermissions] = useState<Permissions>('policy');
  const [prompt, setPrompt] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const field = failure instanceof BerthError ? failure.field : undefined;
  const errorOf = (name: string): string | null => (field === name ? messageOf(failure) : null);

  const start = templates.data?.find((each) => each.name === template);

  async function begin(): Promise<void> {
    setBusy(true);
    setFailure(null);
    const given = {
      agent,
      permissions,
      ...(template === '' ? {} : { template }),
      ...(repository.trim() === '' ? {} : { repository: repository.trim() }),
      ...(branch.trim() === '' ? {} : { branch: branch.trim() }),
    };
    try {
      const id =
        prompt.trim() === ''
          ? (await client.sessions.create(given)).id
          : (await client.prompt({ ...given, prompt, title: titleFrom(prompt) })).sessionId;
      localStorage.setItem('berth.agent', agent);
      void queries.invalidateQueries({ queryKey: sessionsQuery.queryKey });
      await navigate({ to: '/sessions/$sessionId', params: { sessionId: id } });
    } catch (error) {
      setFailure(error);
      setBusy(false);
    }
  }

  const chosen = agents.data?.find((each) => each.name === agent);
  return (
    <Page title="New session" about="An agent in a sandbox of its own, which keeps its disk and its conversation.">
      <form
        ref={form}
        className="max-w-2xl space-y-4 rounded-2xl border border-line bg-surface p-5"
        onSubmit={(event) => {
          event.preventDefault();
          void begin();
        }}
      >
        <Field
          label="What should be done?"
          hint={
            agent === 'shell'
              ? 'The shell agent runs this as a script in the sandbox.'
              : 'May stay empty: say it in the session.'
          }
          error={errorOf('prompt')}
        >
          {(control) => (
            <TextArea
              {...control}
              autoFocus
              rows={5}
              name="prompt"
              placeholder={
                agent === 'shell'
                  ? 'uname -a; id; ls'
                  : 'The test in src/date.ts fails on Sundays. Find out why and fix it.'
              }
              value={prompt}
              onChange={(event) => setPrompt(event.target.value)}
              onKeyDown={(event) => {
                if (event.key === 'Enter' && (event.metaKey || event.ctrlKey)) form.current?.requestSubmit();
              }}
            />
          )}
        </Field>
        <div className="grid gap-4 sm:grid-cols-[1fr_12rem]">
          <Field label="Repository" hint="A clone address; empty for an empty workspace" error={errorOf('repository')}>
            {(control) => (
              <Input
                {...control}
                name="repository"
                list={listId}
                placeholder="https://github.com/owner/name"
                value={repository}
                onChange={(event) => setRepository(event.target.value)}
              />
            )}
          </Field>
          <Field label="Branch" hint="To start from" error={errorOf('branch')}>
            {(control) => (
              <Input
                {...control}
                name="branch"
                placeholder="default"
                value={branch}
                onChange={(event) => setBranch(event.target.value)}
                disabled={repository.trim() === ''}
              />
            )}
          </Field>
        </div>
        <datalist id={listId}>
          {known.map((url) => (
            <option key={url} value={url} />
          ))}
        </datalist>
        <div className="grid gap-4 sm:grid-cols-3">
          <Field
            label="Agent"
            error={errorOf('agent')}
            hint={chosen === undefined || chosen.installed ? undefined : 'Is installed when it is first used.'}
          >
            {(control) => (
              <Select {...control} name="agent" value={agent} onChange={(event) => setAgent(event.target.value)}>
                {(agents.data ?? [{ name: agent, title: agent }]).map((each) => (
                  <option key={each.name} value={each.name}>
                    {each.title}
                  </option>
                ))}
              </Select>
            )}
          </Field>
          <Field
            label="Template"
            error={errorOf('template')}
            hint={start !== undefined && start.from !== null ? `From ${sanitizeLine(start.from)}` : 'What its sandbox starts from'}
          >
            {(control) => (
              <Select {...control} name="template" value={template} onChange={(event) => setTemplate(event.target.value)}>
                <option value="">The server's default</option>
                {(templates.data ?? []).map((each) => (
                  <option key={each.name} value={each.name} disabled={each.providers.length === 0}>
                    {each.name}
                    {each.providers.length === 0 ? ' (no provider has it)' : ''}
                  </option>
                ))}
              </Select>
            )}
          </Field>
          <Field label="Permissions" hint={permissionChoices[permissions].hint}>
            {(control) => (
              <Select
                {...control}
                name="permissions"
                value={permissions}
                onChange={(event) => setPermissions(event.target.value as Permissions)}
              >
                {Object.entries(permissionChoices).map(([value, { label }]) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
              </Select>
            )}
          </Field>
        </div>
        {chosen !== undefined && !chosen.hasKey && <KeyNotice agent={chosen} onShell={() => setAgent('shell')} />}
        {failure !== null && !['prompt', 'repository', 'branch', 'agent', 'template'].includes(field ?? '') && (
          <Failure error={failure} />
        )}
        <div className="flex items-center justify-end gap-3 pt-1">
          <span className="text-xs text-muted max-sm:hidden">Ctrl+Enter</span>
          <Button type="submit" tone="accent" disabled={busy}>
            {busy ? 'Starting…' : 'Start session'}
          </Button>
        </div>
      </form>
    </Page>
  );
}

/** Repositories that the forge lets Berth reach, and those of earlier sessions. */
function useKnownRepositories(): string[] {
  const forge = useQuery(repositoriesQuery);
  const sessions = useQuery(sessionsQuery);
  return useMemo(() => {
    const urls = [
      ...(forge.data ?? []).map((each) => each.url),
      ...(sessions.data ?? []).map((each) => each.repository),
    ];
    return [...new Set(urls.filter((url) => url !== null))].slice(0, 200);
  }, [forge.data, sessions.data]);
}

function titleFrom(prompt: string): string {
  const [line = ''] = prompt.trim().split('\n');
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
