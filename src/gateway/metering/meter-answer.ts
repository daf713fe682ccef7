import type { IncomingHttpHeaders } from 'node:http';
import { Transform } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { MeteredCall } from '../../core/ports/model-meter.ts';
import type { RequestBody } from '../request-body.ts';
import type { ModelApi } from '../upstreams.ts';
import { createUsageTap, type UsageTap } from './usage-tap.ts';

export interface Metering {
  metered: MeteredCall;
  api: ModelApi;
  path: string;
  request: Pick<RequestBody, 'sizeBytes' | 'model'>;
}

/** How long an answer's end is kept back for its figures to be stored; a database that is away must not hang agents. */
const storeTimeoutMs = 5_000;

/**
 * Passes an answer on untouched and counts what it used, whole or broken off. The end of a whole one is passed on
 * when its figures are stored.
 */
export function meterAnswer(metering: Metering, headers: IncomingHttpHeaders): Transform {
  const tap = tapFor(metering, headers);
  let counted = false;
  const count = async (): Promise<void> => {
    if (counted) return;
    counted = true;
    await metering.metered.end({ api: metering.api, ...(await tap.end()) });
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      tap.write(chunk);
      done(null, chunk);
    },
    flush(done) {
      const waited = new AbortController();
      const limit = delay(storeTimeoutMs, undefined, { signal: waited.signal }).catch(() => {});
      void Promise.race([count(), limit]).then(() => {
        waited.abort();
        done();
      });
    },
    destroy(error, done) {
      void count();
      done(error);
    },
  });
}

/** Counts a call whose answer nobody waited for, by what was asked. */
export function meterNothing(metering: Metering): void {
  void tapFor(metering, {})
    .end()
    .then((usage) => metering.metered.end({ api: metering.api, ...usage }));
}

function tapFor({ api, path, request }: Metering, headers: IncomingHttpHeaders): UsageTap {
  return createUsageTap({
    api,
    contentType: headers['content-type'],
    contentEncoding: headers['content-encoding'],
    // Gemini's clients name the model in the path.
    requestedModel: () => /\/(?:models|tunedModels)\/([^/:]+):/.exec(path)?.[1] ?? request.model(),
    requestBytes: () => request.sizeBytes(),
  });
}
