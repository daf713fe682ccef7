/** Pages for who runs this server; loaded together, since one leads to the other. */
export { DeadLettersPage } from './dead-letters.tsx';
export { GithubPage } from './github.tsx';
export { HealthPage } from './health.tsx';
export { QueuePage } from './queue.tsx';
export { SandboxesPage } from './sandboxes.tsx';
