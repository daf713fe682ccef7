import { createElement } from 'react';
const Stub = () => createElement('main');
export { Stub as QueuePage, Stub as DeadLettersPage, Stub as SandboxesPage, Stub as HealthPage, Stub as GithubPage };
