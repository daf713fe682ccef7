/**
 * How often one may call in a minute, and by what that is counted. A minute begins with the first call; what is refused
 * counts as well.
 */
export const defaultRateLimits = {
  /** Attempts to sign in, by address; codes of programs that are looked at, by user. */
  signin: 20,
  /** By address: what needs no token, and what comes with one that is not valid. */
  public: 600,
  /** By token: all else. Enough for a page full of streams, little enough that a loop is noticed. */
  token: 3_000,
  /** By user, over all tokens. */
  user: 6_000,
  /** Sessions, forks, tasks and snapshots that are made, by user. */
  sessions: 60,
  /** Prompts, by user. */
  prompts: 120,
} as const satisfies Record<string, number>;

export type RateLimitName = keyof typeof defaultRateLimits;
/** Calls in a minute. */
export type RateLimits = Readonly<Record<RateLimitName, number>>;

/** Of routes that are limited beside `token` and `user`. */
export const limitOfRoute: Readonly<Record<string, 'signin' | 'sessions' | 'prompts'>> = {
  'POST /api/login': 'signin',
  'POST /api/sign-in/:provider': 'signin',
  'GET /sign-in/:provider/callback': 'signin',
  'POST /api/accounts/:provider': 'signin',
  'POST /api/device-requests': 'signin',
  // By user: whoever guesses codes of others.
  'GET /api/device-requests/:code': 'signin',
  'POST /api/device-requests/:code': 'signin',
  'POST /api/sessions': 'sessions',
  'POST /api/sessions/:id/fork': 'sessions',
  'POST /api/sessions/:id/snapshots': 'sessions',
  'POST /api/snapshots/:snapshot/fork': 'sessions',
  'POST /api/tasks': 'sessions',
  // It may make a session as well; what that costs beside is bounded by the quota.
  'POST /api/session/prompt': 'prompts',
  'POST /api/sessions/:id/turns': 'prompts',
  'POST /api/dead-letters/:turnId/replay': 'prompts',
};

/** What is never limited: whoever watches the server must get an answer, and the forge sends again but seldom. */
export const unlimitedRoutes: readonly string[] = ['GET /api/health', 'POST /webhooks/github'];

/** `signin=5,prompts=30`: the rest as by default; `off`: no limits. Throws `TypeError`. */
export function parseRateLimits(text: string): RateLimits | null {
  if (text.trim() === 'off') return null;
  const limits: Record<RateLimitName, number> = { ...defaultRateLimits };
  for (const entry of text.split(',').filter((each) => each.trim() !== '')) {
    const [, name = '', figure] = /^\s*([a-z]+)=([1-9][0-9]{0,8})\s*$/.exec(entry) ?? [];
    if (!Object.hasOwn(limits, name)) {
      throw new TypeError(`"${entry}" is not off, or of the form ${Object.keys(limits).join('|')}=calls in a minute`);
    }
    limits[name as RateLimitName] = Number(figure);
  }
  return limits;
}
