import type {
  GeneralPermission,
  SessionPermission,
  SnapshotPermission,
  TaskPermission,
  TeamPermission,
  TokenPermission,
} from '../../core/users/permissions.ts';

/** The parameters of a route: `id` and `port` of `GET /api/sessions/:id/ports/:port/*`. */
export type ParameterOf<Route> = Route extends `${string}/:${infer Name}/${infer Rest}`
  ? Name | ParameterOf<`/${Rest}`>
  : Route extends `${string}/:${infer Name}`
    ? Name
    : never;

/** What a route needs, and which of its parameters names the thing that it is about. */
export type Rule<Parameter extends string = string> =
  /** No token. Such a route looks after itself: it tells nothing, or checks a signature or a link of its own. */
  | { needs: 'public' }
  | { needs: GeneralPermission }
  | { needs: SessionPermission; session: Parameter }
  /** The turn of a dead letter; its session counts. */
  | { needs: SessionPermission; deadLetter: Parameter }
  | { needs: SnapshotPermission; snapshot: Parameter }
  | { needs: TaskPermission; task: Parameter }
  | { needs: TeamPermission; team: Parameter }
  | { needs: TokenPermission; token: Parameter }
  /** The body says whether a session is made or a known one gets the prompt. */
  | { needs: 'sessions:create'; orPromptOf: 'sessionId' | 'issue' };

/** A table of rules by `METHOD /path`, as the router has it. The compiler holds each rule to its route's parameters. */
export function defineRules<const Table extends { [Route in keyof Table]: Rule<ParameterOf<Route>> }>(
  table: Table,
): Readonly<Record<string, Rule>> {
  return table as Readonly<Record<string, Rule>>;
}
