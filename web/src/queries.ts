import { queryOptions } from '@tanstack/react-query';
import type { EgressQuery } from '../../src/protocol/egress.ts';
import type { QuotaSubject, UsageRequest } from '../../src/sdk/index.ts';
import { client } from './api.ts';

/** How often lists look again while the page is in view; a session itself is streamed. */
const listIntervalMs = 2_500;
const slowIntervalMs = 10_000;

export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: ({ signal }) => client.me({ signal }),
  staleTime: Infinity,
});

export const sessionsQuery = queryOptions({
  queryKey: ['sessions'],
  queryFn: ({ signal }) => client.sessions.list({ limit: 200, signal }),
  refetchInterval: listIntervalMs,
});

export const sessionQuery = (id: string) =>
  queryOptions({ queryKey: ['session', id], queryFn: ({ signal }) => client.sessions.get(id, { signal }) });

export const queueQuery = queryOptions({
  queryKey: ['queue'],
  queryFn: ({ signal }) => client.queue({ signal }),
  refetchInterval: listIntervalMs,
});

export const poolQuery = queryOptions({
  queryKey: ['pool'],
  queryFn: ({ signal }) => client.pool({ signal }),
  refetchInterval: listIntervalMs,
});

export const agentsQuery = queryOptions({
  queryKey: ['agents'],
  queryFn: ({ signal }) => client.agents({ signal }),
  staleTime: slowIntervalMs,
});

export const repositoriesQuery = queryOptions({
  queryKey: ['repositories'],
  queryFn: ({ signal }) => client.github.repositories({ signal }),
  staleTime: slowIntervalMs,
});

export const deadLettersQuery = queryOptions({
  queryKey: ['dead-letters'],
  queryFn: ({ signal }) => client.deadLetters.list({ limit: 100, signal }),
  refetchInterval: slowIntervalMs,
});

export const doctorQuery = queryOptions({
  queryKey: ['doctor'],
  queryFn: ({ signal }) => client.doctor({ signal }),
  staleTime: 60_000,
});

export const healthQuery = queryOptions({
  queryKey: ['health'],
  queryFn: ({ signal }) => client.health({ signal }),
  staleTime: 60_000,
});

export const githubQuery = queryOptions({
  queryKey: ['github'],
  queryFn: ({ signal }) => client.github.status({ signal }),
});

export const tasksQuery = queryOptions({
  queryKey: ['tasks'],
  queryFn: ({ signal }) => client.github.tasks({ signal }),
  refetchInterval: slowIntervalMs,
});

export const usageQuery = (id: string, enabled: boolean) =>
  queryOptions({
    queryKey: ['usage', id],
    queryFn: ({ signal }) => client.sessions.usage(id, { signal }),
    refetchInterval: 5_000,
    enabled,
  });

export const usersQuery = queryOptions({
  queryKey: ['users'],
  queryFn: ({ signal }) => client.users.list({ signal }),
  staleTime: slowIntervalMs,
});

export const teamsQuery = queryOptions({
  queryKey: ['teams'],
  queryFn: ({ signal }) => client.teams.list({ signal }),
  staleTime: slowIntervalMs,
});

export const signInChoicesQuery = queryOptions({
  queryKey: ['sign-in-choices'],
  queryFn: ({ signal }) => client.accounts.choices({ signal }),
  staleTime: 60_000,
});

export const linkedAccountsQuery = queryOptions({
  queryKey: ['linked-accounts'],
  queryFn: ({ signal }) => client.accounts.list({ signal }),
});

export const tokensQuery = queryOptions({
  queryKey: ['tokens'],
  queryFn: ({ signal }) => client.tokens.list({ signal }),
});

export const keysQuery = queryOptions({
  queryKey: ['keys'],
  queryFn: ({ signal }) => client.keys.list({ signal }),
});

/** `null`: the person's own. */
export const secretsQuery = (team: string | null) =>
  queryOptions({
    queryKey: ['secrets', team],
    queryFn: ({ signal }) => client.secrets.list({ signal, ...(team === null ? {} : { team }) }),
  });

export const modelUsageQuery = (request: UsageRequest) =>
  queryOptions({
    queryKey: ['model-usage', request],
    queryFn: ({ signal }) => client.usage.report(request, { signal }),
    refetchInterval: slowIntervalMs,
  });

export const userBudgetQuery = (user: string) =>
  queryOptions({ queryKey: ['user-budget', user], queryFn: ({ signal }) => client.budgets.ofUser(user, { signal }) });

export const sessionBudgetQuery = (id: string) =>
  queryOptions({
    queryKey: ['session-budget', id],
    queryFn: ({ signal }) => client.budgets.ofSession(id, { signal }),
    refetchInterval: slowIntervalMs,
  });

/** Those of a session that are the caller's, or all for an owner. */
export const snapshotsQuery = (id: string) =>
  queryOptions({ queryKey: ['snapshots', id], queryFn: ({ signal }) => client.snapshots.list({ session: id, signal }) });

export const branchQuery = (id: string, enabled: boolean) =>
  queryOptions({
    queryKey: ['branch', id],
    queryFn: ({ signal }) => client.sessions.branch(id, { signal }),
    staleTime: slowIntervalMs,
    enabled,
  });

export const egressQuery = (id: string) =>
  queryOptions({
    queryKey: ['egress', id],
    queryFn: ({ signal }) => client.egress.get(id, { signal }),
    refetchInterval: 5_000,
  });

export const allEgressQuery = (query: EgressQuery) =>
  queryOptions({
    queryKey: ['egress-all', query],
    queryFn: ({ signal }) => client.egress.list(query, { signal }),
    refetchInterval: slowIntervalMs,
  });

export const templatesQuery = queryOptions({
  queryKey: ['templates'],
  queryFn: ({ signal }) => client.templates.list({ signal }),
  staleTime: slowIntervalMs,
});

export const templateJobsQuery = queryOptions({
  queryKey: ['template-jobs'],
  queryFn: ({ signal }) => client.templates.jobs({ signal }),
  refetchInterval: slowIntervalMs,
});

export const ownQuotaQuery = queryOptions({
  queryKey: ['own-quota'],
  queryFn: ({ signal }) => client.quotas.own({ signal }),
});

export const quotaQuery = (subject: QuotaSubject, enabled: boolean) =>
  queryOptions({
    queryKey: ['quota', subject.kind, subject.name],
    queryFn: ({ signal }) => client.quotas.of(subject, { signal }),
    enabled,
  });

export const hostsQuery = queryOptions({
  queryKey: ['hosts'],
  queryFn: ({ signal }) => client.hosts.list({ signal }),
  refetchInterval: slowIntervalMs,
});

/** What the person may do with it. */
export const accessQuery = (id: string) =>
  queryOptions({
    queryKey: ['access', id],
    queryFn: ({ signal }) => client.shares.own(id, { signal }),
    refetchInterval: slowIntervalMs,
  });

export const sharesQuery = (id: string) =>
  queryOptions({ queryKey: ['shares', id], queryFn: ({ signal }) => client.shares.list(id, { signal }) });
