import type { Logger } from '../core/ports/logger.ts';

/** Runs `look` once at a time; asked for while it runs, once more after. */
export interface Looker {
  look(): void;
  /** Resolves when none runs. */
  idle(): Promise<void>;
}

export function createLooker(look: () => Promise<boolean>, logger: Logger): Looker {
  let running: Promise<void> | null = null;
  let again = false;

  async function run(): Promise<void> {
    do {
      again = false;
      await look().catch((error: unknown) => logger.error({ err: error }, 'the queue could not be looked at'));
    } while (again);
  }

  return {
    look() {
      again = true;
      running ??= run().finally(() => (running = null));
    },
    async idle() {
      await running;
    },
  };
}
