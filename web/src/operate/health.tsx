import { useQuery } from '@tanstack/react-query';
import { CircleAlert, CircleCheck, CircleX } from 'lucide-react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import { doctorQuery, healthQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { Hosts } from './hosts.tsx';
import { Page } from '../ui/page.tsx';
import { Failure, Loading } from '../ui/states.tsx';

const looks = {
  ok: { icon: CircleCheck, name: 'fine', className: 'text-good' },
  degraded: { icon: CircleAlert, name: 'works, could be better', className: 'text-warn' },
  missing: { icon: CircleX, name: 'missing', className: 'text-bad' },
};

export function HealthPage() {
  const doctor = useQuery(doctorQuery);
  const health = useQuery(healthQuery);
  const about =
    health.data === undefined ? 'This server' : `Berth ${health.data.version}, sandboxes by ${health.data.provider}`;
  return (
    <Page
      title="Health"
      about={about}
      actions={
        <Button size="small" disabled={doctor.isFetching} onClick={() => void doctor.refetch()}>
          {doctor.isFetching ? 'Looking…' : 'Look again'}
        </Button>
      }
    >
      {doctor.isPending && <Loading label="Looking at the machine" />}
      {doctor.isError && <Failure error={doctor.error} onRetry={() => void doctor.refetch()} />}
      <ul className="divide-y divide-line overflow-hidden rounded-xl border border-line bg-surface empty:hidden">
        {doctor.data?.map((finding) => {
          const look = looks[finding.status];
          return (
            <li key={finding.subject} className="flex gap-3 px-4 py-3">
              <look.icon
                role="img"
                aria-label={look.name}
                className={classNames('mt-0.5 size-4.5 shrink-0', look.className)}
              />
              <div className="min-w-0 flex-1">
                <p className="font-medium">{sanitizeLine(finding.subject)}</p>
                <p className="text-sm break-words text-muted">
                  {sanitizeLine(finding.detected)}
                  {finding.choice !== '' && ` → ${sanitizeLine(finding.choice)}`}
                </p>
                {finding.advice !== null && (
                  <p className="mt-0.5 text-sm break-words">{sanitizeLine(finding.advice)}</p>
                )}
              </div>
            </li>
          );
        })}
      </ul>
      <div className="mt-6">
        <Hosts />
      </div>
    </Page>
  );
}
