import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Layers } from 'lucide-react';
import { useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { TemplateView } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { meQuery, templateJobsQuery, templatesQuery } from '../../queries.ts';
import { Button } from '../../ui/button.tsx';
import { confirmed } from '../../ui/confirm.tsx';
import { Field, Input } from '../../ui/field.tsx';
import { FormCard } from '../../ui/form-card.tsx';
import { Page } from '../../ui/page.tsx';
import { Empty, Failure, Loading } from '../../ui/states.tsx';
import { bytes, clockTime } from '../../ui/time.ts';
import { toastFailure } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';
import { Table } from '../table.tsx';
import { Jobs } from './jobs.tsx';

/** What sandboxes start from: what there is, and building another. */
export function TemplatesPage() {
  const me = useQuery(meQuery);
  const templates = useQuery(templatesQuery);
  const isOwner = me.data?.role === 'owner';
  return (
    <Page title="Templates" about="The file systems that sandboxes start from, kept on this server's machine.">
      <div className="space-y-6">
        {templates.isPending && <Loading />}
        {templates.isError && <Failure error={templates.error} onRetry={() => void templates.refetch()} />}
        {templates.data?.length === 0 && (
          <Empty icon={<Layers />} title="There are none">
            The default one is made of this machine when it is first needed.
          </Empty>
        )}
        {templates.data !== undefined && templates.data.length > 0 && (
          <Table label="Templates" head={['Name', 'From', 'Providers that have it', 'Size', 'Built', ...(isOwner ? [''] : [])]}>
            {templates.data.map((template) => (
              <Row key={template.name} template={template} removes={isOwner} />
            ))}
          </Table>
        )}
        {isOwner && <Building />}
      </div>
    </Page>
  );
}

function Row({ template, removes }: { template: TemplateView; removes: boolean }) {
  const queries = useQueryClient();
  const { name } = template;
  async function remove(): Promise<void> {
    const lost = 'New sessions cannot name it any more, and its files are removed. It can be built again from where it came. One that sessions use stays.';
    if (!(await confirmed({ title: `Remove the template ${name}?`, lost, action: 'Remove the template' }))) return;
    await client.templates.remove(name);
    await queries.invalidateQueries({ queryKey: templatesQuery.queryKey });
  }
  return (
    <tr>
      <td>
        <span className="font-medium">{sanitizeLine(name)}</span>
        {template.version !== null && (
          <span className="block font-mono text-xs text-muted">{template.version.slice(0, 12)}</span>
        )}
      </td>
      <td className="min-w-40 break-all">{template.from === null ? 'this machine itself' : sanitizeLine(template.from)}</td>
      <td>{template.providers.length === 0 ? 'none' : template.providers.map(sanitizeLine).join(', ')}</td>
      <td className="whitespace-nowrap">{template.sizeBytes === null ? '' : bytes(template.sizeBytes)}</td>
      <td className="whitespace-nowrap text-muted">
        {template.createdAt === null ? 'at first need' : clockTime(template.createdAt)}
      </td>
      {removes && (
        <td className="text-right">
          {template.from !== null && (
            <Button
              size="small"
              tone="danger"
              aria-label={`Remove ${sanitizeLine(name)}`}
              onClick={() => void remove().catch(toastFailure('Not removed'))}
            >
              Remove
            </Button>
          )}
        </td>
      )}
    </tr>
  );
}

function Building() {
  /** The job whose log is shown; `null`: the one that runs. */
  const [open, setOpen] = useState<string | null>(null);
  return (
    <section aria-labelledby="building" className="space-y-4">
      <h2 id="building" className="font-semibold">
        Builds and pushes
      </h2>
      <Build onBegun={setOpen} />
      <Jobs open={open} onOpen={setOpen} />
    </section>
  );
}

function Build({ onBegun }: { onBegun: (job: string) => void }) {
  const queries = useQueryClient();
  const submit = useSubmit('name', 'from');
  const [name, setName] = useState('');
  const [from, setFrom] = useState('');
  async function build(): Promise<void> {
    onBegun((await client.templates.build(name.trim(), { from: from.trim() })).id);
    await queries.invalidateQueries({ queryKey: templateJobsQuery.queryKey });
  }
  return (
    <FormCard title="Build a template" action={submit.busy ? 'Beginning…' : 'Build'} submit={submit} onSubmit={build}>
      <div className="grid gap-3 sm:grid-cols-[12rem_1fr]">
        <Field label="Template name" hint="Of one that is there: a new version" error={submit.errorOf('name')}>
          {(control) => <Input {...control} required placeholder="node" value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field
          label="Built from"
          hint="An image (node:24), a directory with a Dockerfile, a tar archive, or suite:bookworm"
          error={submit.errorOf('from')}
        >
          {(control) => <Input {...control} required placeholder="node:24" value={from} onChange={(event) => setFrom(event.target.value)} />}
        </Field>
      </div>
    </FormCard>
  );
}
