import type { SecretService } from '../core/secrets/secret-service.ts';
import type { KeyService } from '../core/keys/key-service.ts';
import type { EgressService } from '../core/egress/egress-service.ts';
import type { AgentCatalog } from '../core/ports/agent.ts';
import type { ForgeApp } from '../core/ports/forge-app.ts';
import type { Forge } from '../core/ports/forge.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { Store } from '../core/ports/store.ts';
import type { PullRequestService } from '../core/pulls/pull-request-service.ts';
import type { TaskService } from '../core/tasks/task-service.ts';
import type { TemplateService } from '../core/templates/template-service.ts';
import type { SignInService } from '../core/users/sign-in/sign-in-service.ts';
import type { Extensions } from '../server/app.ts';
import type { BrowserAccess } from '../server/context.ts';
import { egressRoutes } from '../server/routes/egress.ts';
import { githubSetupRoutes } from '../server/routes/github-setup.ts';
import { githubRoutes, githubWebhookRoutes } from '../server/routes/github.ts';
import { accountSignInRoutes } from '../server/routes/sign-in.ts';
import { pullRequestRoutes } from '../server/routes/pull-requests.ts';
import { repositoryRoutes } from '../server/routes/repositories.ts';
import { secretRoutes } from '../server/routes/secrets.ts';
import { taskRoutes } from '../server/routes/tasks.ts';
import { keyRoutes } from '../server/routes/keys.ts';
import { templateRoutes } from '../server/routes/templates.ts';
import { usageRoutes } from '../server/routes/usage.ts';
import { webhookRoutes } from '../server/routes/webhooks.ts';
import { webAppRoutes, type WebFiles } from '../server/web-app.ts';

export interface ExtensionParts {
  store: Store;
  agents: AgentCatalog;
  logger: Logger;
  forge: Forge;
  forgeApp: ForgeApp;
  tasks: TaskService;
  pulls: PullRequestService;
  egress: EgressService;
  keys: KeyService;
  secrets: SecretService;
  templates: TemplateService;
  signIn: SignInService;
  browser: BrowserAccess;
  webFiles: WebFiles;
  webhookSecret: string;
  /** Whether browsers reach the server by https. */
  isSecure: () => boolean;
}

/** All routes of the server beside those that every application has. */
export function serverExtensions(parts: ExtensionParts): Extensions {
  const { store, agents, logger, forge, forgeApp, tasks, pulls, egress, keys, secrets, templates, signIn, browser, webFiles, webhookSecret, isSecure } = parts;
  return {
    public: [
      githubWebhookRoutes(forgeApp),
      githubSetupRoutes({ forgeApp, logger, isSecure }),
      accountSignInRoutes({ signIn, browser, logger }),
      webAppRoutes(webFiles),
    ],
    authenticated: [
      githubRoutes(forgeApp),
      repositoryRoutes({ store, agents, forgeApp }),
      taskRoutes({ store, tasks, forge }),
      pullRequestRoutes(pulls),
      egressRoutes(egress),
      secretRoutes(secrets),
      templateRoutes(templates),
      usageRoutes(store),
      keyRoutes(keys),
      webhookRoutes({ secret: webhookSecret }),
    ],
  };
}
