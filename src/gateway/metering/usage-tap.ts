import type { Transform } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { createParser } from 'eventsource-parser';
import type { ModelCallUsage } from '../../core/ports/model-meter.ts';
import type { ModelApi } from '../upstreams.ts';
import { readUsage } from './read-usage.ts';
import { nothingSeen, tokens } from './usage-reading.ts';

/**
 * Reads beside an answer's bytes, which pass untouched, what the call used. Whatever an upstream sends, it neither
 * throws nor keeps more than `maxKeptBytes` of text; what it cannot read it estimates.
 */
export interface UsageTap {
  write(chunk: Buffer): void;
  /** Resolves when all that was written is read; to be called once. */
  end(): Promise<Omit<ModelCallUsage, 'api'>>;
}

export interface UsageTapOptions {
  api: ModelApi;
  contentType: string | undefined;
  contentEncoding: string | undefined;
  /** The model that was asked for, where the answer names none. */
  requestedModel: () => string | null;
  /** Bytes of the request's body, for when the answer does not say what went in. */
  requestBytes: () => number;
  maxKeptBytes?: number;
}

/** A whole answer, or one event, is as large as its images make it. */
const defaultMaxKeptBytes = 8 * 1024 * 1024;
/** A small answer that unpacks without end is not read to it. */
const maxUnpackedBytes = 256 * 1024 * 1024;
/** What is usual for English and code; says too much rather than too little for most models. */
const charsPerToken = 4;

const decoders: Record<string, () => Transform> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  deflate: () => createInflate(),
  br: () => createBrotliDecompress(),
  zstd: () => createZstdDecompress(),
};

export function createUsageTap(options: UsageTapOptions): UsageTap {
  const maxKeptBytes = options.maxKeptBytes ?? defaultMaxKeptBytes;
  const seen = nothingSeen();
  const isStream = /^text\/event-stream\b/i.test(options.contentType ?? '');
  const text = new StringDecoder('utf8');
  const see = (json: string): void => {
    try {
      readUsage[options.api](seen, JSON.parse(json));
    } catch {
      // Not JSON: `[DONE]`, or an upstream's fault. There is nothing to count in it.
    }
  };
  const events = createParser({ onEvent: ({ data }) => see(data), maxBufferSize: maxKeptBytes });
  let kept: string[] = [];
  let sizeBytes = 0;
  let givenUp = false;

  function giveUp(): void {
    givenUp = true;
    kept = [];
  }

  function take(plain: Buffer): void {
    sizeBytes += plain.length;
    if (givenUp) return;
    if (sizeBytes > (isStream ? maxUnpackedBytes : maxKeptBytes)) return giveUp();
    const piece = text.write(plain);
    if (!isStream) {
      kept.push(piece);
      return;
    }
    try {
      events.feed(piece);
    } catch {
      // The parser throws on an event beyond its limit, and from then on.
      giveUp();
    }
  }

  const { write, flush } = unpacking(options.contentEncoding, take, () => givenUp, giveUp, maxKeptBytes);

  return {
    write,
    async end() {
      await flush();
      if (!givenUp) {
        if (isStream) feedRest();
        else see(kept.join('') + text.end());
      }
      return account();
    },
  };

  /** An event without its empty line is not one by the standard; cut off there, its figures count all the same. */
  function feedRest(): void {
    try {
      events.feed(`${text.end()}\n\n`);
    } catch {
      giveUp();
    }
  }

  function account(): Omit<ModelCallUsage, 'api'> {
    const { model, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = seen;
    const estimated = !seen.isFinal;
    const byText = Math.ceil((seen.textChars || (isStream && !givenUp ? 0 : sizeBytes)) / charsPerToken);
    return {
      model: model ?? options.requestedModel() ?? 'unknown',
      inputTokens: seen.hasInput ? inputTokens : (tokens(Math.ceil(options.requestBytes() / charsPerToken)) ?? 0),
      outputTokens: estimated ? Math.max(outputTokens, tokens(byText) ?? 0) : outputTokens,
      cacheReadTokens,
      cacheWriteTokens,
      estimated,
    };
  }
}

/** Undoes the content encoding; one that is not known cannot be read. */
function unpacking(
  encoding: string | undefined,
  take: (plain: Buffer) => void,
  isGivenUp: () => boolean,
  giveUp: () => void,
  maxWaitingBytes: number,
): { write(chunk: Buffer): void; flush(): Promise<void> } {
  const name = (encoding ?? 'identity').trim().toLowerCase();
  if (name === 'identity' || name === '') return { write: take, flush: async () => {} };
  const create = decoders[name];
  if (create === undefined) {
    giveUp();
    return { write: take, flush: async () => {} };
  }
  const decoder = create();
  const ended = new Promise<void>((resolve) => {
    decoder.once('close', resolve);
    decoder.on('error', () => {
      // Cut off, or not what it says it is: what was unpacked until then counts.
      decoder.destroy();
    });
  });
  decoder.on('data', (plain: Buffer) => {
    take(plain);
    if (isGivenUp()) decoder.destroy();
  });
  return {
    write(chunk) {
      if (decoder.destroyed) return;
      if (decoder.writableLength > maxWaitingBytes) {
        giveUp();
        decoder.destroy();
      } else decoder.write(chunk);
    },
    async flush() {
      if (!decoder.destroyed) decoder.end();
      await ended;
    },
  };
}
