import type { Page } from 'playwright-core';

/** What a person does, and how the page shows what comes of it. */
export interface Doing {
  /** The event that the browser makes of it. */
  event: 'keydown' | 'click' | 'wheel';
  run: () => Promise<unknown>;
  /** A selector for what is then on the page; nothing: the next picture shows it. */
  shows: string | null;
}

/** From the event to the first picture that shows what comes of it, in milliseconds, by the page's own clock. */
export async function latencyMs(page: Page, { event, run, shows }: Doing): Promise<number> {
  const result = page.evaluateHandle(
    ({ type, selector }) => ({
      done: new Promise<number>((resolve) => {
        const onEvent = (made: Event): void => {
          // What a wheel does is drawn a picture later: first it scrolls, then the page hears of it.
          let pictures = type === 'wheel' ? 2 : 1;
          const look = (): void => {
            // A message that is posted before a picture is drawn arrives after it.
            const { port1, port2 } = new MessageChannel();
            port1.addEventListener('message', () => {
              pictures -= 1;
              const isShown = selector === null || document.querySelector(selector) !== null;
              if (pictures <= 0 && isShown) resolve(performance.now() - made.timeStamp);
              else look();
            });
            port1.start();
            requestAnimationFrame(() => port2.postMessage(null));
          };
          look();
        };
        addEventListener(type, onEvent, { capture: true, once: true });
      }),
    }),
    { type: event, selector: shows },
  );
  const handle = await result;
  await run();
  const tookMs = await handle.evaluate(({ done }) => done);
  await handle.dispose();
  return tookMs;
}
