import { defineRules } from './rules.ts';

const look = { needs: 'session:view', session: 'id' } as const;
const act = { needs: 'session:prompt', session: 'id' } as const;
const answer = { needs: 'session:answer', session: 'id' } as const;
const copy = { needs: 'session:copy', session: 'id' } as const;
const manage = { needs: 'session:manage', session: 'id' } as const;
const open = { needs: 'public' } as const;

/**
 * Who may call what: every route of the server. One that is not in it is refused to everybody, and one in it that the
 * server does not have fails a test.
 */
export const routeRules = defineRules({
  // The web application's page and files, which are the same for all.
  'GET /*': open,
  'GET /api/health': open,
  'GET /api/openapi.json': open,
  'POST /api/login': open,
  'POST /api/logout': open,
  'GET /api/sign-in': open,
  // From this server's own pages alone; then each needs the cookie that this left.
  'POST /api/sign-in/:provider': open,
  'GET /sign-in/:provider/callback': open,
  // A program that has nothing yet; its secret gets it a token once somebody has let it.
  'POST /api/device-requests': open,
  'POST /api/device-tokens': open,
  // GitHub signs what it sends.
  'POST /webhooks/github': open,
  // Each needs a link that an owner made, or the state that such a link led to.
  'GET /setup/github': open,
  'GET /setup/github/callback': open,

  'GET /api/me': { needs: 'self:view' },
  // Signs a browser in with the token that asks, so it gives away no more than that can.
  'POST /api/login-links': { needs: 'self:view' },

  // The very token that asks ends.
  'DELETE /api/token': { needs: 'self:view' },
  // Who lets a program in gives it what is his.
  'GET /api/device-requests/:code': { needs: 'self:manage' },
  'POST /api/device-requests/:code': { needs: 'self:manage' },
  'GET /api/accounts': { needs: 'self:view' },
  'POST /api/accounts/:provider': { needs: 'self:manage' },
  'DELETE /api/accounts/:id': { needs: 'self:manage' },
  'GET /api/tokens': { needs: 'self:view' },
  'POST /api/tokens': { needs: 'self:manage' },
  'DELETE /api/tokens/:id': { needs: 'token:manage', token: 'id' },
  // Whom one may share with.
  'GET /api/users': { needs: 'installation:read' },
  'POST /api/users': { needs: 'installation:manage' },
  'PATCH /api/users/:handle': { needs: 'installation:manage' },
  'DELETE /api/users/:handle': { needs: 'installation:manage' },
  'POST /api/users/:handle/sign-in-link': { needs: 'installation:manage' },
  'GET /api/users/:handle/tokens': { needs: 'installation:inspect' },
  'POST /api/users/:handle/tokens': { needs: 'installation:manage' },
  // Those that the caller is in.
  'GET /api/teams': { needs: 'installation:read' },
  'POST /api/teams': { needs: 'installation:manage' },
  'GET /api/teams/:team': { needs: 'team:view', team: 'team' },
  'DELETE /api/teams/:team': { needs: 'installation:manage' },
  'PUT /api/teams/:team/members/:handle': { needs: 'team:manage', team: 'team' },
  'DELETE /api/teams/:team/members/:handle': { needs: 'team:manage', team: 'team' },

  'GET /api/agents': { needs: 'installation:read' },
  'GET /api/pool': { needs: 'installation:read' },
  'GET /api/queue': { needs: 'installation:read' },
  'GET /api/github': { needs: 'installation:read' },
  'GET /api/repositories': { needs: 'installation:read' },
  'GET /api/doctor': { needs: 'installation:inspect' },
  'GET /api/hosts': { needs: 'installation:inspect' },
  'GET /api/metrics': { needs: 'installation:inspect' },
  'GET /api/audit': { needs: 'installation:inspect' },
  'GET /api/audit/export': { needs: 'installation:inspect' },
  'GET /api/audit/verify': { needs: 'installation:inspect' },
  'DELETE /api/hosts/:id': { needs: 'installation:manage' },
  'POST /api/github/setup-link': { needs: 'installation:manage' },
  'POST /api/github/app': { needs: 'installation:manage' },
  'POST /api/repositories': { needs: 'installation:manage' },
  'PATCH /api/repositories/:id': { needs: 'installation:manage' },
  // Who has it can sign in the server's name.
  'GET /api/webhooks/secret': { needs: 'installation:manage' },

  'GET /api/templates': { needs: 'installation:read' },
  'GET /api/templates/:name': { needs: 'installation:read' },
  'POST /api/templates/:name/build': { needs: 'installation:manage' },
  'POST /api/templates/:name/push': { needs: 'installation:manage' },
  'DELETE /api/templates/:name': { needs: 'installation:manage' },
  // Logs of builds tell of paths, registries and mirrors.
  'GET /api/template-jobs': { needs: 'installation:inspect' },
  'GET /api/template-jobs/:id': { needs: 'installation:inspect' },
  'GET /api/template-jobs/:id/events': { needs: 'installation:inspect' },
  'POST /api/template-jobs/:id/cancel': { needs: 'installation:manage' },

  'POST /api/sessions': { needs: 'sessions:create' },
  'POST /api/session/prompt': { needs: 'sessions:create', orPromptOf: 'sessionId' },
  // Those that the caller may see.
  'GET /api/sessions': { needs: 'installation:read' },
  'GET /api/sessions/:id': look,
  'PATCH /api/sessions/:id': manage,
  'DELETE /api/sessions/:id': manage,
  'POST /api/sessions/:id/rest': manage,
  'POST /api/sessions/:id/wake': act,
  'POST /api/sessions/:id/fork': copy,
  'POST /api/sessions/:id/snapshots': copy,
  'POST /api/sessions/:id/mode': act,
  'POST /api/sessions/:id/model': act,
  'POST /api/sessions/:id/config': act,
  'POST /api/sessions/:id/interrupt': act,
  'POST /api/sessions/:id/permissions/:requestId': answer,
  'GET /api/sessions/:id/permission-policy': look,
  // Who sets it decides what is answered.
  'PUT /api/sessions/:id/permission-policy': manage,
  'POST /api/sessions/:id/turns': act,
  'GET /api/sessions/:id/turns': look,
  'GET /api/sessions/:id/turns/:turnId': look,
  'POST /api/sessions/:id/turns/:turnId/cancel': act,
  'GET /api/sessions/:id/log': look,
  'GET /api/sessions/:id/events': look,
  // What the client says over it is checked message by message.
  'GET /api/sessions/:id/stream': look,
  'GET /api/sessions/:id/access': look,
  'GET /api/sessions/:id/shares': look,
  'PUT /api/sessions/:id/shares/:kind/:name': manage,
  'DELETE /api/sessions/:id/shares/:kind/:name': manage,
  // Of the sessions that the caller may see.
  'GET /api/egress': { needs: 'installation:read' },
  'GET /api/sessions/:id/egress': look,
  'PUT /api/sessions/:id/egress': manage,
  'POST /api/sessions/:id/egress/allow': manage,

  'GET /api/sessions/:id/budget': look,
  // One's own; a team's are its owners' to change. Nobody reads a value.
  'GET /api/secrets': { needs: 'self:view' },
  'PUT /api/secrets/:name': { needs: 'self:manage' },
  'DELETE /api/secrets/:name': { needs: 'self:manage' },
  'GET /api/teams/:team/secrets': { needs: 'team:view', team: 'team' },
  'PUT /api/teams/:team/secrets/:name': { needs: 'team:manage', team: 'team' },
  'DELETE /api/teams/:team/secrets/:name': { needs: 'team:manage', team: 'team' },

  'GET /api/sessions/:id/diff': look,
  'GET /api/sessions/:id/branch': look,
  // Who works in it could have the agent push all the same.
  'POST /api/sessions/:id/pull-request': act,
  'GET /api/sessions/:id/usage': look,
  'GET /api/sessions/:id/files': look,
  'GET /api/sessions/:id/files/stat': look,
  'GET /api/sessions/:id/files/content': look,
  'GET /api/sessions/:id/files/watch': look,
  'PUT /api/sessions/:id/files/content': act,
  'POST /api/sessions/:id/files/mkdir': act,
  'POST /api/sessions/:id/files/move': act,
  'DELETE /api/sessions/:id/files': act,
  'POST /api/sessions/:id/exec': act,
  'GET /api/sessions/:id/processes': look,
  'POST /api/sessions/:id/processes': act,
  'GET /api/sessions/:id/processes/:pid': look,
  'POST /api/sessions/:id/processes/:pid/signal': act,
  'GET /api/sessions/:id/processes/:pid/attach': act,
  'GET /api/sessions/:id/ports': look,
  // Whatever listens there does not know who asks.
  'POST /api/sessions/:id/ports/:port/preview': act,
  'ALL /api/sessions/:id/ports/:port': act,
  'ALL /api/sessions/:id/ports/:port/*': act,
  'GET /api/sessions/:id/forward/:port': act,

  // Those that the caller may use; whose a new one may be is checked with it.
  'GET /api/keys': { needs: 'installation:read' },
  'POST /api/keys': { needs: 'self:manage' },
  'DELETE /api/keys/:id': { needs: 'self:manage' },
  'POST /api/keys/rotate': { needs: 'installation:manage' },
  'GET /api/users/:user/budget': { needs: 'installation:manage' },
  'PUT /api/users/:user/budget': { needs: 'installation:manage' },
  'GET /api/quota': { needs: 'self:view' },
  'GET /api/users/:user/quota': { needs: 'installation:inspect' },
  'PUT /api/users/:user/quota': { needs: 'installation:manage' },
  'GET /api/teams/:team/quota': { needs: 'team:view', team: 'team' },
  // What a team may have of the machine is not its owners' to say.
  'PUT /api/teams/:team/quota': { needs: 'installation:manage' },
  // Of the caller's own sessions; the owner sees all.
  'GET /api/usage': { needs: 'installation:read' },

  // The caller's own.
  'GET /api/snapshots': { needs: 'installation:read' },
  'GET /api/snapshots/:snapshot': { needs: 'snapshot:view', snapshot: 'snapshot' },
  'DELETE /api/snapshots/:snapshot': { needs: 'snapshot:manage', snapshot: 'snapshot' },
  'POST /api/snapshots/:snapshot/fork': { needs: 'snapshot:copy', snapshot: 'snapshot' },

  // Those of sessions that the caller may see.
  'GET /api/dead-letters': { needs: 'installation:read' },
  'POST /api/dead-letters/:turnId/replay': { needs: 'session:prompt', deadLetter: 'turnId' },
  'GET /api/tasks': { needs: 'installation:read' },
  'GET /api/tasks/:id': { needs: 'task:view', task: 'id' },
  'POST /api/tasks': { needs: 'sessions:create', orPromptOf: 'issue' },
});
