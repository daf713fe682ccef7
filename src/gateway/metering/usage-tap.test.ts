import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { modelApis, type ModelApi } from '../upstreams.ts';
import { createUsageTap, type UsageTapOptions } from './usage-tap.ts';

async function read(
  api: ModelApi,
  body: string | Buffer,
  options: Partial<UsageTapOptions> & { pieceBytes?: number } = {},
) {
  const { pieceBytes = 7, ...rest } = options;
  const tap = createUsageTap({
    api,
    contentType: 'text/event-stream; charset=utf-8',
    contentEncoding: undefined,
    requestedModel: () => 'asked',
    requestBytes: () => 400,
    ...rest,
  });
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += pieceBytes) tap.write(bytes.subarray(at, at + pieceBytes));
  return tap.end();
}

const events = (...documents: unknown[]): string =>
  documents.map((each) => `data: ${typeof each === 'string' ? each : JSON.stringify(each)}\n\n`).join('');

const used = (model: string, inputTokens: number, outputTokens: number, cacheReadTokens = 0, cacheWriteTokens = 0) => ({
  model,
  inputTokens,
  outputTokens,
  cacheReadTokens,
  cacheWriteTokens,
  estimated: false,
});

describe('what an answer says it used', () => {
  test('Anthropic, streamed', async () => {
    const start = {
      type: 'message_start',
      message: {
        model: 'claude-a',
        usage: { input_tokens: 10, cache_read_input_tokens: 200, cache_creation_input_tokens: 30, output_tokens: 1 },
      },
    };
    const delta = { type: 'content_block_delta', delta: { type: 'text_delta', text: 'größer' } };
    const end = { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 42 } };
    expect(await read('anthropic', events(start, delta, end, { type: 'message_stop' }))).toEqual(
      used('claude-a', 10, 42, 200, 30),
    );
  });

  test('OpenAI Chat Completions, streamed with usage and whole', async () => {
    const usage = { prompt_tokens: 100, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 60 } };
    const chunk = { model: 'gpt-a', choices: [{ delta: { content: 'hi' } }], usage: null };
    expect(await read('openai', events(chunk, { model: 'gpt-a', choices: [], usage }, '[DONE]'))).toEqual(
      used('gpt-a', 40, 20, 60),
    );
    const whole = JSON.stringify({ model: 'gpt-a', choices: [], usage });
    expect(await read('openai', whole, { contentType: 'application/json' })).toEqual(used('gpt-a', 40, 20, 60));
  });

  test('OpenAI Responses, streamed and whole', async () => {
    const usage = { input_tokens: 50, input_tokens_details: { cached_tokens: 8 }, output_tokens: 9 };
    const response = { object: 'response', model: 'gpt-b', usage };
    const stream = events(
      { type: 'response.created', response: { model: 'gpt-b', usage: null } },
      { type: 'response.output_text.delta', delta: 'hello' },
      { type: 'response.completed', response },
    );
    expect(await read('openai', stream)).toEqual(used('gpt-b', 42, 9, 8));
    expect(await read('openai', JSON.stringify(response), { contentType: 'application/json' })).toEqual(
      used('gpt-b', 42, 9, 8),
    );
  });

  test('Gemini, streamed as events, as an array, and whole', async () => {
    const usageMetadata = { promptTokenCount: 30, cachedContentTokenCount: 10, candidatesTokenCount: 4, thoughtsTokenCount: 6 };
    const last = { modelVersion: 'gemini-a', candidates: [{ finishReason: 'STOP' }], usageMetadata };
    const first = { modelVersion: 'gemini-a', candidates: [{ content: { parts: [{ text: 'a' }] } }] };
    const expected = used('gemini-a', 20, 10, 10);
    expect(await read('gemini', events(first, last))).toEqual(expected);
    expect(await read('gemini', JSON.stringify([first, last]), { contentType: 'application/json' })).toEqual(expected);
    expect(await read('gemini', JSON.stringify(last), { contentType: 'application/json' })).toEqual(expected);
  });

  test.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
    ['zstd', zstdCompressSync],
  ] as const)('packed with %s', async (contentEncoding, pack) => {
    const answer = { model: 'm', usage: { input_tokens: 3, output_tokens: 4 } };
    expect(await read('openai', pack(events({ type: 'response.completed', response: answer })), { contentEncoding })).toEqual(
      used('m', 3, 4),
    );
  });
});

describe('what it does not say is estimated', () => {
  test('a chat stream without usage: by the text, and by the size of the request', async () => {
    const chunk = { model: 'gpt-a', choices: [{ delta: { content: 'x'.repeat(80) } }] };
    expect(await read('openai', events(chunk, '[DONE]'))).toMatchObject({
      inputTokens: 100,
      outputTokens: 20,
      estimated: true,
    });
  });

  test('an answer that is cut off, in a packed one too', async () => {
    const start = { type: 'message_start', message: { model: 'claude-a', usage: { input_tokens: 10, output_tokens: 1 } } };
    const delta = { type: 'content_block_delta', delta: { partial_json: 'y'.repeat(40) } };
    const stream = events(start, delta);
    const expected = { model: 'claude-a', inputTokens: 10, outputTokens: 10, estimated: true };
    expect(await read('anthropic', stream.trimEnd())).toMatchObject(expected);
    const packed = gzipSync(stream);
    expect(await read('anthropic', packed.subarray(0, -4), { contentEncoding: 'gzip' })).toMatchObject(expected);
  });

  test('what is larger than what is kept, packed in ways nobody knows, or unpacks without end', async () => {
    const answer = JSON.stringify({ model: 'm', usage: { input_tokens: 1, output_tokens: 1 }, text: 'z'.repeat(4000) });
    const small = { maxKeptBytes: 1000, pieceBytes: 100 };
    const whole = await read('openai', answer, { ...small, contentType: 'application/json' });
    expect(whole).toMatchObject({ model: 'asked', inputTokens: 100, estimated: true });
    expect(whole.outputTokens).toBeGreaterThan(1000);
    const stream = await read('openai', events(answer), small);
    expect(stream.outputTokens).toBeGreaterThan(1000);
    expect(await read('openai', answer, { contentEncoding: 'secret-sauce' })).toMatchObject({ estimated: true });
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const packed = { maxKeptBytes: 1_000_000, contentType: 'application/json', contentEncoding: 'gzip', pieceBytes: 65_536 };
    expect((await read('openai', bomb, packed)).outputTokens).toBeLessThan(2_000_000);
  });
});

test('no bytes of an upstream make it throw, or say what is no count', async () => {
  const figure = fc.oneof(fc.double(), fc.integer(), fc.string(), fc.constant(null), fc.constant({ a: [1] }));
  const name = fc.constantFrom(
    'type', 'message', 'response', 'usage', 'model', 'input_tokens', 'output_tokens', 'prompt_tokens', 'completion_tokens',
    'choices', 'delta', 'candidates', 'usageMetadata', 'promptTokenCount', 'candidatesTokenCount', 'input_tokens_details',
    'cached_tokens', '__proto__', 'cache_read_input_tokens', 'message_start', 'modelVersion', 'content', 'parts',
  );
  const { document } = fc.letrec<{ document: unknown }>((tie) => ({
    document: fc.oneof(
      { maxDepth: 5 },
      figure,
      fc.constantFrom('message_start', 'message_delta', 'message', 'response.completed'),
      fc.array(tie('document'), { maxLength: 4 }),
      fc.array(fc.tuple(name, tie('document')), { maxLength: 6 }).map((entries) => Object.fromEntries(entries)),
    ),
  }));
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ maxLength: 500 }).map((text) => Buffer.from(`data: ${text}\n\n`)),
    fc.array(document, { maxLength: 5 }).map((documents) => Buffer.from(events(...documents.map((each) => each ?? null)))),
    document.map((each) => Buffer.from(JSON.stringify(each) ?? '')),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...modelApis),
      fc.constantFrom('text/event-stream', 'application/json', undefined),
      fc.constantFrom('gzip', 'br', 'deflate', 'zstd', 'identity', 'x', undefined),
      fc.boolean(),
      body,
      fc.integer({ min: 1, max: 64 }),
      async (api, contentType, contentEncoding, packed, bytes, pieceBytes) => {
        const sent = packed && contentEncoding === 'gzip' ? gzipSync(bytes) : bytes;
        const found = await read(api, sent, { contentType, contentEncoding, pieceBytes, maxKeptBytes: 1500 });
        for (const name of ['inputTokens', 'outputTokens', 'cacheReadTokens', 'cacheWriteTokens'] as const) {
          expect(Number.isSafeInteger(found[name]) && found[name] >= 0).toBe(true);
        }
        expect(found.model).toMatch(/^[\x21-\x7e]{1,200}$/);
      },
    ),
    { numRuns: 300 },
  );
});
