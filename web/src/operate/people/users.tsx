import { useQuery, useQueryClient } from '@tanstack/react-query';
import { EllipsisVertical } from 'lucide-react';
import { useState } from 'react';
import { sanitizeLine } from '../../../../src/protocol/inert-text.ts';
import type { User, UserRole } from '../../../../src/sdk/index.ts';
import { client } from '../../api.ts';
import { meQuery, usersQuery } from '../../queries.ts';
import { IconButton } from '../../ui/button.tsx';
import { confirmed } from '../../ui/confirm.tsx';
import { Field, Input, Select } from '../../ui/field.tsx';
import { FormCard } from '../../ui/form-card.tsx';
import { Menu, MenuItem } from '../../ui/menu.tsx';
import { ShownOnce } from '../../ui/shown-once.tsx';
import { Failure, Loading } from '../../ui/states.tsx';
import { clockTime } from '../../ui/time.ts';
import { toastFailure } from '../../ui/toasts.tsx';
import { useSubmit } from '../../ui/use-submit.ts';
import { Table } from '../table.tsx';

const roles: Record<UserRole, string> = { owner: 'Owner', member: 'Member', viewer: 'Viewer' };

interface Link {
  handle: string;
  url: string;
  expiresAt: string;
}

export function Users() {
  const me = useQuery(meQuery);
  const users = useQuery(usersQuery);
  const [link, setLink] = useState<Link | null>(null);
  const isOwner = me.data?.role === 'owner';
  return (
    <section aria-labelledby="users" className="space-y-3">
      <h2 id="users" className="font-semibold">
        Users
      </h2>
      {users.isPending && <Loading />}
      {users.isError && <Failure error={users.error} onRetry={() => void users.refetch()} />}
      {link !== null && (
        <ShownOnce
          label={`A link for ${link.handle}`}
          value={link.url}
          note={`Signs one browser in as ${link.handle}, once, until ${clockTime(link.expiresAt)}. It is not shown again.`}
          onClose={() => setLink(null)}
        />
      )}
      {users.data !== undefined && (
        <Table label="Users" head={['Name', 'Role', 'State', 'Since', ...(isOwner ? [''] : [])]}>
          {users.data.map((user) => (
            <Row key={user.handle} user={user} isOwner={isOwner} onLink={setLink} />
          ))}
        </Table>
      )}
      {isOwner && <Add onLink={setLink} />}
    </section>
  );
}

function Row({ user, isOwner, onLink }: { user: User; isOwner: boolean; onLink: (link: Link) => void }) {
  const queries = useQueryClient();
  const { handle } = user;
  const change = (request: { role?: UserRole; disabled?: boolean }): void =>
    void client.users
      .change(handle, request)
      .then(() => queries.invalidateQueries({ queryKey: usersQuery.queryKey }), toastFailure('Not changed'));
  const newLink = (): void =>
    void client.users.signInLink(handle).then((made) => onLink({ handle, ...made }), toastFailure('No link'));
  async function remove(): Promise<void> {
    const lost = 'Their tokens end, and they are in no team any more. Their sessions must be deleted first. The audit log keeps what they did.';
    if (!(await confirmed({ title: `Remove ${handle}?`, lost, action: 'Remove the user' }))) return;
    await client.users.remove(handle);
    await queries.invalidateQueries({ queryKey: usersQuery.queryKey });
  }
  return (
    <tr>
      <td>
        <span className="font-medium">{sanitizeLine(user.displayName)}</span>
        {user.displayName !== handle && <span className="text-muted"> {handle}</span>}
      </td>
      <td>
        {isOwner ? (
          <Select
            aria-label={`Role of ${handle}`}
            value={user.role}
            className="w-32"
            onChange={(event) => change({ role: event.target.value as UserRole })}
          >
            {Object.entries(roles).map(([role, name]) => (
              <option key={role} value={role}>
                {name}
              </option>
            ))}
          </Select>
        ) : (
          roles[user.role]
        )}
      </td>
      <td>{user.disabledAt === null ? <span className="text-good">active</span> : <span className="text-bad">disabled</span>}</td>
      <td className="whitespace-nowrap text-muted">{clockTime(user.createdAt)}</td>
      {isOwner && (
        <td className="text-right">
          <Menu
            trigger={
              <IconButton label={`More about ${handle}`}>
                <EllipsisVertical />
              </IconButton>
            }
          >
            <MenuItem onSelect={newLink}>New sign-in link</MenuItem>
            <MenuItem onSelect={() => change({ disabled: user.disabledAt === null })}>
              {user.disabledAt === null ? 'Disable' : 'Enable again'}
            </MenuItem>
            <MenuItem danger onSelect={() => void remove().catch(toastFailure('Not removed'))}>
              Remove…
            </MenuItem>
          </Menu>
        </td>
      )}
    </tr>
  );
}

function Add({ onLink }: { onLink: (link: Link) => void }) {
  const queries = useQueryClient();
  const submit = useSubmit('handle', 'displayName', 'role');
  const [handle, setHandle] = useState('');
  const [displayName, setDisplayName] = useState('');
  const [role, setRole] = useState<UserRole>('member');
  async function add(): Promise<void> {
    const name = displayName.trim();
    const made = await client.users.add({ handle: handle.trim(), role, ...(name === '' ? {} : { displayName: name }) });
    onLink({ handle: made.user.handle, ...made.signIn });
    setHandle('');
    setDisplayName('');
    await queries.invalidateQueries({ queryKey: usersQuery.queryKey });
  }
  return (
    <FormCard title="Add a user" action="Add and get the link" submit={submit} onSubmit={add}>
      <div className="grid gap-3 sm:grid-cols-3">
        <Field label="Handle" hint="Small letters and digits" error={submit.errorOf('handle')}>
          {(control) => (
            <Input {...control} required value={handle} onChange={(event) => setHandle(event.target.value)} />
          )}
        </Field>
        <Field label="Name" hint="May stay empty" error={submit.errorOf('displayName')}>
          {(control) => (
            <Input {...control} value={displayName} onChange={(event) => setDisplayName(event.target.value)} />
          )}
        </Field>
        <Field
          label="Role"
          hint={role === 'owner' ? 'Runs the installation' : role === 'member' ? 'Has sessions' : 'Only looks'}
          error={submit.errorOf('role')}
        >
          {(control) => (
            <Select {...control} value={role} onChange={(event) => setRole(event.target.value as UserRole)}>
              {Object.entries(roles).map(([value, name]) => (
                <option key={value} value={value}>
                  {name}
                </option>
              ))}
            </Select>
          )}
        </Field>
      </div>
    </FormCard>
  );
}
