import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WaitingRoom } from './waiting-room.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
afterEach(() => void vi.useRealTimers());

async function socketPair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [near] = (await once(server, 'connection')) as [Socket];
  server.close();
  return { near, far };
}

it('resets who waited to the deadline, and forgets who left or was taken', async () => {
  const room = new WaitingRoom();
  const [late, left, taken] = await Promise.all([socketPair(), socketPair(), socketPair()]);
  const deadline = Date.now() + 1000;
  for (const { near } of [late, left]) room.add(near, deadline);
  left.near.destroy();
  await once(left.near, 'close');
  expect(room.size).toBe(1);
  const reset = once(late.far, 'end');
  vi.advanceTimersByTime(1000);
  await expect(reset).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(room.size).toBe(0);
  room.add(taken.near, deadline + 1000);
  expect(room.takeAll()).toEqual([{ socket: taken.near, deadline: deadline + 1000 }]);
  vi.advanceTimersByTime(5000);
  expect(taken.near.destroyed).toBe(false);
  taken.near.destroy();
  taken.far.destroy();
});
