import { expect, test } from 'vitest';
import { createForge } from '../../test/fixtures/forge/index.ts';
import type { Logger } from '../core/ports/logger.ts';
import { createGithubApp } from './app.ts';

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const clock = { now: () => new Date(), sleep: async () => {} };

test('writes keep the distance that GitHub asks for; a limit is told and not sat out; a signal ends the wait for a turn', async () => {
  await using forge = await createForge();
  const app = createGithubApp(
    {
      appId: forge.app.id,
      privateKey: forge.app.privateKey,
      slug: forge.app.slug,
      apiUrl: forge.apiUrl,
      webUrl: forge.url,
    },
    { clock, logger: quiet },
  );
  const { state } = forge;
  const issue = state.addIssue(state.repository('acme/widgets'), { title: 'T', author: state.account('maria') });
  const installation = state.installations.find(({ account }) => account.login === 'acme')!;
  const say = (body: string, signal: AbortSignal) =>
    app.asInstallation(
      installation.id,
      (octokit, call) =>
        octokit.rest.issues.createComment({
          owner: 'acme',
          repo: 'widgets',
          issue_number: issue.number,
          body,
          ...call,
        }),
      signal,
    );
  const began = performance.now();
  const patient = AbortSignal.timeout(30_000);
  await say('first', patient);
  const [second, third] = [say('second', patient), say('third', AbortSignal.timeout(500))];
  await expect(third).rejects.toMatchObject({ code: 'timeout' });
  // Given up while the one before it still waits.
  expect(issue.comments.map(({ body }) => body)).toEqual(['first']);
  await second;
  expect(performance.now() - began).toBeGreaterThan(2_900);

  forge.failNext('issues/get', 403, 1, { retryAfterSeconds: 600 });
  const read = app.asInstallation(
    installation.id,
    (octokit, call) => octokit.rest.issues.get({ owner: 'acme', repo: 'widgets', issue_number: issue.number, ...call }),
    patient,
  );
  await expect(read).rejects.toMatchObject({ code: 'rate_limited', context: { retryAfterMs: 600_000 } });
  // What left the queue too late is never sent.
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  expect(issue.comments.map(({ body }) => body)).toEqual(['first', 'second']);
  expect(forge.violations).toEqual([]);
});
