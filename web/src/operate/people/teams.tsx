import { useQuery, useQueryClient } from '@tanstack/react-query';
import { X } from 'lucide-react';
import { useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { Team, TeamRole } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { meQuery, teamsQuery, usersQuery } from '../../queries.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { confirmed } from '../../ui/confirm.tsx';
import { Field, Input, Select } from '../../ui/field.tsx';
import { FormCard } from '../../ui/form-card.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { toastFailure } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';

const teamRoles: readonly TeamRole[] = ['owner', 'member', 'viewer'];

export function Teams() {
  const me = useQuery(meQuery);
  const teams = useQuery(teamsQuery);
  const isOwner = me.data?.role === 'owner';
  const manages = (team: Team): boolean =>
    isOwner || team.members.some((member) => member.user === me.data?.user && member.role === 'owner');
  return (
    <section aria-labelledby="teams" className="space-y-3">
      <h2 id="teams" className="font-semibold">
        Teams
      </h2>
      {teams.isPending && <Loading />}
      {teams.isError && <Failure error={teams.error} onRetry={() => void teams.refetch()} />}
      {teams.data?.length === 0 && (
        <p className="text-sm text-muted">{isOwner ? 'There are none yet.' : 'You are in none.'}</p>
      )}
      {teams.data?.map((team) => (
        <OneTeam key={team.name} team={team} manages={manages(team)} removes={isOwner} />
      ))}
      {isOwner && <AddTeam />}
    </section>
  );
}

function OneTeam({ team, manages, removes }: { team: Team; manages: boolean; removes: boolean }) {
  const queries = useQueryClient();
  const again = () => queries.invalidateQueries({ queryKey: teamsQuery.queryKey });
  const { name } = team;
  async function remove(): Promise<void> {
    const lost = "Its secrets and keys are gone, and its sessions are their owners' alone.";
    if (!(await confirmed({ title: `Remove the team ${sanitizeLine(team.displayName)}?`, lost, action: 'Remove the team' }))) return;
    await client.teams.remove(name);
    await again();
  }
  return (
    <div className="rounded-xl border border-line bg-surface p-4">
      <div className="flex items-center gap-2">
        <h3 className="min-w-0 flex-1 truncate font-medium">
          {sanitizeLine(team.displayName)}
          {team.displayName !== name && <span className="font-normal text-muted"> {name}</span>}
        </h3>
        {removes && (
          <Button size="small" tone="quiet" onClick={() => void remove().catch(toastFailure('Not removed'))}>
            Remove team
          </Button>
        )}
      </div>
      <ul className="mt-2 flex flex-wrap gap-2">
        {team.members.map((member) => (
          <li
            key={member.user}
            className="inline-flex items-center gap-1 rounded-full border border-line bg-raised py-0.5 pr-1 pl-3 text-sm"
          >
            {member.user}
            <span className="text-muted">{member.role}</span>
            {manages ? (
              <IconButton
                label={`Take ${member.user} out of ${name}`}
                className="!size-6"
                onClick={() => void client.teams.removeMember(name, member.user).then(again, toastFailure('Not changed'))}
              >
                <X />
              </IconButton>
            ) : (
              <span className="w-1" />
            )}
          </li>
        ))}
        {team.members.length === 0 && <li className="text-sm text-muted">Nobody is in it.</li>}
      </ul>
      {manages && <AddMember team={team} />}
    </div>
  );
}

function AddMember({ team }: { team: Team }) {
  const queries = useQueryClient();
  const users = useQuery(usersQuery);
  const [user, setUser] = useState('');
  const [role, setRole] = useState<TeamRole>('member');
  async function add(): Promise<void> {
    await client.teams.setMember(team.name, user, role);
    setUser('');
    await queries.invalidateQueries({ queryKey: teamsQuery.queryKey });
  }
  return (
    <form
      aria-label={`Members of ${team.name}`}
      className="mt-3 flex flex-wrap items-center gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        void add().catch(toastFailure('Not added'));
      }}
    >
      <Select
        aria-label={`Who joins ${team.name}`}
        className="!w-44"
        value={user}
        onChange={(event) => setUser(event.target.value)}
      >
        <option value="">Choose a user</option>
        {(users.data ?? []).map((each) => (
          <option key={each.handle}>{each.handle}</option>
        ))}
      </Select>
      <Select
        aria-label={`As what in ${team.name}`}
        className="!w-32"
        value={role}
        onChange={(event) => setRole(event.target.value as TeamRole)}
      >
        {teamRoles.map((each) => (
          <option key={each}>{each}</option>
        ))}
      </Select>
      <Button type="submit" disabled={user === ''}>
        Set
      </Button>
    </form>
  );
}

function AddTeam() {
  const queries = useQueryClient();
  const submit = useSubmit('name', 'displayName');
  const [name, setName] = useState('');
  async function add(): Promise<void> {
    await client.teams.add({ name: name.trim() });
    setName('');
    await queries.invalidateQueries({ queryKey: teamsQuery.queryKey });
  }
  return (
    <FormCard title="Add a team" action="Add team" submit={submit} onSubmit={add}>
      <Field label="Team" hint="Small letters, digits, dots and dashes" error={submit.errorOf('name')}>
        {(control) => <Input {...control} required value={name} onChange={(event) => setName(event.target.value)} />}
      </Field>
    </FormCard>
  );
}
