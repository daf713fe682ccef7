import { expect, test } from 'vitest';
import { createSharedWork } from './shared-work.ts';

const never = new AbortController().signal;

function controllable() {
  const runs: {
    resolve: (value: string) => void;
    reject: (error: Error) => void;
    say: (message: string) => void;
    signal: AbortSignal;
  }[] = [];
  const work = createSharedWork<string>(
    (_key, say, signal) => new Promise((resolve, reject) => runs.push({ resolve, reject, say, signal })),
  );
  return { runs, work };
}

test('concurrent callers share one run, a later one starts anew', async () => {
  const { runs, work } = controllable();
  const heard: string[] = [];
  const first = work.run('a', (message) => heard.push(`1 ${message}`), never);
  await Promise.resolve();
  await Promise.resolve();
  runs[0]!.say('x');
  const second = work.run('a', (message) => heard.push(`2 ${message}`), never);
  runs[0]!.say('y');
  runs[0]!.resolve('done');
  expect(await Promise.all([first, second])).toEqual(['done', 'done']);
  expect(heard).toEqual(['1 x', '2 x', '1 y', '2 y']);
  const third = work.run('a', () => {}, never);
  await expect.poll(() => runs.length).toBe(2);
  runs[1]!.reject(new Error('broke'));
  await expect(third).rejects.toThrow('broke');
});

test('one caller leaves and the work goes on; the last one ends it, and the next waits for that end', async () => {
  const { runs, work } = controllable();
  const [one, two] = [new AbortController(), new AbortController()];
  const first = work.run('a', () => {}, one.signal);
  const second = work.run('a', () => {}, two.signal);
  await expect.poll(() => runs.length).toBe(1);
  one.abort();
  await expect(first).rejects.toThrow('aborted');
  expect(runs[0]!.signal.aborted).toBe(false);
  two.abort();
  await expect(second).rejects.toThrow('aborted');
  expect(runs[0]!.signal.aborted).toBe(true);

  const third = work.run('a', () => {}, never);
  await Promise.resolve();
  expect(runs).toHaveLength(1);
  runs[0]!.reject(new Error('ended'));
  await expect.poll(() => runs.length).toBe(2);
  runs[1]!.resolve('again');
  expect(await third).toBe('again');
});
