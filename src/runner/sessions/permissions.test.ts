import { expect, test } from 'vitest';
import type { JournalEvent } from '../../protocol/events.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { AgentSession } from './agent-session.ts';
import { ofType, readUntil, saidIn, SessionFixture, waitFor } from './session-fixture.ts';

async function ask(session: AgentSession): Promise<string> {
  await session.startTurn({ turnId: 'trn_1', prompt: [{ type: 'text', text: 'ask run it' }] });
  return (await waitFor(session.journal, 'permission.requested')).data.requestId;
}

const end = (session: AgentSession): Promise<JournalEvent[]> => readUntil(session.journal, ofType('turn.ended'));

const resolutions = (events: JournalEvent[]) => events.filter(ofType('permission.resolved')).map(({ data }) => data);

async function errorOf(promise: Promise<unknown>): Promise<BerthError> {
  return promise.then(
    () => expect.unreachable('it was accepted'),
    (error: unknown) => error as BerthError,
  );
}

test('a person’s answer reaches the agent, after the journal has it', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const requestId = await ask(session);
  expect(session.info().openPermissions).toEqual([requestId]);
  await session.answerPermission(requestId, { optionId: 'allow', by: 'usr_1' });
  const events = await end(session);
  expect(resolutions(events)).toEqual([{ requestId, outcome: 'selected', optionId: 'allow', by: 'usr_1' }]);
  expect(saidIn(events)).toBe('permission: allow');
  const types = events.map(({ type }) => type);
  const answered = types.indexOf('permission.resolved');
  expect(answered).toBeLessThan(events.findIndex((event) => saidIn([event]) !== ''));
});

test('null cancels the request', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  await session.answerPermission(await ask(session), { optionId: null, by: 'usr_1' });
  const events = await end(session);
  expect(resolutions(events)).toMatchObject([{ outcome: 'cancelled', optionId: null, by: 'usr_1' }]);
  expect(saidIn(events)).toBe('permission: cancelled');
});

test('without an answer the request is refused when its time is up, never allowed', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ permissionTimeoutMs: 54_321 });
  await ask(session);
  await fixture.clock.release(54_321);
  const events = await end(session);
  expect(resolutions(events)).toMatchObject([{ outcome: 'expired', optionId: 'reject', by: null }]);
  expect(saidIn(events)).toBe('permission: reject');
});

test('refuses answers to options not offered, to unknown requests, and second answers', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const requestId = await ask(session);
  expect(await errorOf(session.answerPermission(requestId, { optionId: 'sudo', by: 'x' }))).toMatchObject({
    code: 'invalid_request',
    field: 'optionId',
    context: { known: ['allow', 'always', 'reject'] },
  });
  expect(await errorOf(session.answerPermission('prm_none', { optionId: 'allow', by: 'x' }))).toMatchObject({
    code: 'not_found',
  });
  const [first, second] = await Promise.allSettled([
    session.answerPermission(requestId, { optionId: 'reject', by: 'a' }),
    session.answerPermission(requestId, { optionId: 'allow', by: 'b' }),
  ]);
  expect(first.status).toBe('fulfilled');
  expect(second).toMatchObject({ status: 'rejected', reason: { code: 'conflict' } });
  expect(resolutions(await end(session))).toMatchObject([{ optionId: 'reject', by: 'a' }]);
});

test('cancelling the turn cancels its open request', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const requestId = await ask(session);
  session.cancelTurn('trn_1');
  const events = await end(session);
  expect(resolutions(events)).toEqual([{ requestId, outcome: 'cancelled', optionId: null, by: null }]);
  expect(events.at(-1)?.data).toMatchObject({ outcome: 'cancelled' });
  expect(await errorOf(session.answerPermission(requestId, { optionId: 'allow', by: 'x' }))).toMatchObject({
    code: 'conflict',
  });
});

test('the death of the agent cancels its open request', async () => {
  await using fixture = new SessionFixture();
  const script = `
    const send = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n');
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method } = JSON.parse(line);
      if (method === 'initialize') send({ id, result: { protocolVersion: 1 } });
      else if (method === 'session/new') send({ id, result: { sessionId: 's' } });
      else if (method === 'session/prompt') {
        const options = [{ optionId: 'a', name: 'A', kind: 'allow_once' }, { optionId: 'z', name: 'Z', kind: 'allow_for_ever' }];
        send({ id: 1, method: 'session/request_permission', params: { sessionId: 's', toolCall: { toolCallId: 't' }, options } });
        send({ id: 2, method: 'session/request_permission', params: { sessionId: 's' } });
      } else if (id === 2) process.exit(9);
    });`;
  const session = await fixture.start({ argv: [process.execPath, '-e', script] });
  await session.startTurn({ turnId: 'trn_1', prompt: [{ type: 'text', text: 'go' }] });
  const events = await end(session);
  expect(events.filter(ofType('permission.requested'))[0]?.data.options).toEqual([
    { optionId: 'a', name: 'A', kind: 'allow_once' },
  ]);
  expect(resolutions(events)).toMatchObject([{ outcome: 'cancelled', by: null }]);
  expect(events.filter(ofType('agent.update')).at(-1)?.data.update).toEqual({
    sessionUpdate: 'tool_call_update',
    toolCallId: 't',
    status: 'failed',
  });
  expect(events.at(-1)?.data).toMatchObject({ outcome: 'failed', error: { code: 'agent_failed' } });
});
