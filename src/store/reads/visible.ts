import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import type { Database } from '../schema.ts';

/** Whether a user owns a session, has it by a team, or has it shared with him or a team of his. */
export function isVisible<Tables extends keyof Database>(
  where: ExpressionBuilder<Database, Tables | 'sessions'>,
  user: string,
): Expression<SqlBool> {
  const of = where as ExpressionBuilder<Database, 'sessions'>;
  const teams = of.selectFrom('team_members').select('team_members.team').where('team_members.member', '=', user);
  return of.or([
    of('sessions.owner', '=', user),
    of('sessions.team', 'in', teams),
    of(
      'sessions.id',
      'in',
      of
        .selectFrom('session_shares')
        .select('session_shares.session_id')
        .where((share) =>
          share.or([
            share.and([share('subject_kind', '=', 'user'), share('subject', '=', user)]),
            share.and([share('subject_kind', '=', 'team'), share('subject', 'in', teams)]),
          ]),
        ),
    ),
  ]);
}
