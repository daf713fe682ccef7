import { useQuery, useQueryClient } from '@tanstack/react-query';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { TemplateJob } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { templateJobsQuery } from '../../queries.ts';
import { Button } from '../../ui/button.tsx';
import { Failure } from '../../ui/states.tsx';
import { clockTime } from '../../ui/time.ts';
import { toastFailure } from '../../ui/toasts.tsx';
import { JobLog } from './job-log.tsx';

const looks: Record<TemplateJob['status'], { label: string; className: string }> = {
  running: { label: 'running', className: 'text-accent' },
  succeeded: { label: 'done', className: 'text-good' },
  failed: { label: 'failed', className: 'text-bad' },
  cancelled: { label: 'cancelled', className: 'text-warn' },
};

/** Newest first; the log of the one that is open follows it. */
export function Jobs({ open, onOpen }: { open: string | null; onOpen: (job: string) => void }) {
  const jobs = useQuery(templateJobsQuery);
  const shown = open ?? jobs.data?.find((job) => job.status === 'running')?.id;
  if (jobs.isError) return <Failure error={jobs.error} onRetry={() => void jobs.refetch()} />;
  return (
    <ul className="space-y-2">
      {jobs.data?.slice(0, 20).map((job) => (
        <li key={job.id} className="rounded-xl border border-line bg-surface">
          <Job job={job} open={shown === job.id} onToggle={() => onOpen(shown === job.id ? '' : job.id)} />
        </li>
      ))}
    </ul>
  );
}

function Job({ job, open, onToggle }: { job: TemplateJob; open: boolean; onToggle: () => void }) {
  const queries = useQueryClient();
  const look = looks[job.status];
  async function cancel(): Promise<void> {
    await client.templates.cancel(job.id);
    await queries.invalidateQueries({ queryKey: templateJobsQuery.queryKey });
  }
  return (
    <>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3.5 py-2.5">
        <p className="min-w-0 flex-1">
          <span className="font-medium">
            {job.kind === 'build' ? 'Build' : 'Push'} {sanitizeLine(job.template)}
          </span>{' '}
          <span className={look.className}>{look.label}</span>
          <span className="block text-xs break-all text-muted">
            {job.kind === 'build' ? 'from' : 'to'} {sanitizeLine(job.place)} · {sanitizeLine(job.by)} · {clockTime(job.startedAt)}
          </span>
        </p>
        {job.status === 'running' && (
          <Button size="small" onClick={() => void cancel().catch(toastFailure('Not cancelled'))}>
            Cancel
          </Button>
        )}
        <Button size="small" tone="quiet" aria-expanded={open} onClick={onToggle}>
          {open ? 'Hide the log' : 'Show the log'}
        </Button>
      </div>
      {job.error !== null && <p className="px-3.5 pb-2.5 text-sm break-words text-bad">{sanitizeLine(job.error.message)}</p>}
      {open && <JobLog id={job.id} />}
    </>
  );
}
