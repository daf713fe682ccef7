/** Pages for who runs this server; loaded together, since one leads to the other. */
export { AuditPage } from './audit.tsx';
export { DeadLettersPage } from './dead-letters.tsx';
export { GithubPage } from './github.tsx';
export { HealthPage } from './health.tsx';
export { KeysPage } from './keys/keys-page.tsx';
export { NetworkPage } from './network/network-page.tsx';
export { PeoplePage } from './people/people-page.tsx';
export { QueuePage } from './queue.tsx';
export { SandboxesPage } from './sandboxes.tsx';
export { TemplatesPage } from './templates/templates-page.tsx';
export { UsagePage } from './usage/usage-page.tsx';
