import { exitCode } from './exit-codes.ts';

/**
 * Ctrl-C while something remote is under way: the first one interrupts that and goes on listening,
 * the second leaves at once with 130. `reset` makes the next one a first one again. Disposing it gives
 * Ctrl-C its usual meaning back.
 */
export function onInterrupt(first: () => void): Disposable & { reset(): void } {
  let count = 0;
  const onSignal = (): void => {
    if (++count === 1) first();
    else process.exit(exitCode.interrupted);
  };
  process.on('SIGINT', onSignal);
  return {
    reset: () => void (count = 0),
    [Symbol.dispose]: () => void process.removeListener('SIGINT', onSignal),
  };
}
