import type { ModelApi } from '../upstreams.ts';
import { field, items, length, path, seeModel, tokens, type ReadUsage, type SeenUsage } from './usage-reading.ts';

/**
 * Where each API says what a call used, streamed or whole. Sources: the APIs' own references (Anthropic "Messages" and
 * "Streaming Messages", OpenAI "Chat Completions", "Responses" and their streaming events, Gemini "GenerateContentResponse").
 */
export const readUsage: Record<ModelApi, ReadUsage> = {
  anthropic(seen, document) {
    const type = field(document, 'type');
    if (type === 'message_start') return seeAnthropic(seen, field(document, 'message'));
    if (type === 'message') {
      seeAnthropic(seen, document);
      seen.isFinal ||= seen.hasInput;
      return;
    }
    if (type === 'message_delta') {
      seeAnthropicUsage(seen, field(document, 'usage'));
      seen.isFinal ||= tokens(path(document, 'usage', 'output_tokens')) !== null;
      return;
    }
    if (type !== 'content_block_delta') return;
    const delta = field(document, 'delta');
    seen.textChars +=
      length(field(delta, 'text')) + length(field(delta, 'partial_json')) + length(field(delta, 'thinking'));
  },

  openai(seen, document) {
    const response = field(document, 'response');
    if (response !== undefined) return seeOpenai(seen, response);
    seeOpenai(seen, document);
    seen.textChars += length(field(document, 'delta'));
    for (const choice of items(field(document, 'choices'))) {
      const said = field(choice, 'delta') ?? field(choice, 'message');
      seen.textChars += length(field(said, 'content')) + length(field(said, 'reasoning_content'));
      for (const call of items(field(said, 'tool_calls'))) seen.textChars += length(path(call, 'function', 'arguments'));
    }
  },

  gemini(seen, document) {
    // Without `alt=sse` a stream is one array of what are events otherwise.
    for (const each of Array.isArray(document) ? (document as unknown[]) : [document]) seeGemini(seen, each);
  },
};

function seeAnthropic(seen: SeenUsage, message: unknown): void {
  seeModel(seen, field(message, 'model'));
  seeAnthropicUsage(seen, field(message, 'usage'));
}

function seeAnthropicUsage(seen: SeenUsage, usage: unknown): void {
  const input = tokens(field(usage, 'input_tokens'));
  if (input !== null) {
    seen.inputTokens = input;
    seen.hasInput = true;
  }
  seen.cacheReadTokens = tokens(field(usage, 'cache_read_input_tokens')) ?? seen.cacheReadTokens;
  seen.cacheWriteTokens = tokens(field(usage, 'cache_creation_input_tokens')) ?? seen.cacheWriteTokens;
  seen.outputTokens = tokens(field(usage, 'output_tokens')) ?? seen.outputTokens;
}

/** A chat completion, one of its chunks, or a response: their `usage` differs in names only. */
function seeOpenai(seen: SeenUsage, answer: unknown): void {
  seeModel(seen, field(answer, 'model'));
  const usage = field(answer, 'usage');
  const input = tokens(field(usage, 'input_tokens')) ?? tokens(field(usage, 'prompt_tokens'));
  const output = tokens(field(usage, 'output_tokens')) ?? tokens(field(usage, 'completion_tokens'));
  if (input === null || output === null) return;
  const cached =
    tokens(path(usage, 'input_tokens_details', 'cached_tokens')) ??
    tokens(path(usage, 'prompt_tokens_details', 'cached_tokens')) ??
    0;
  // `input` counts what came from the cache too.
  seen.cacheReadTokens = Math.min(cached, input);
  seen.inputTokens = input - seen.cacheReadTokens;
  seen.outputTokens = output;
  seen.hasInput = true;
  seen.isFinal = true;
}

function seeGemini(seen: SeenUsage, answer: unknown): void {
  seeModel(seen, field(answer, 'modelVersion'));
  let finished = false;
  for (const candidate of items(field(answer, 'candidates'))) {
    finished ||= typeof field(candidate, 'finishReason') === 'string';
    for (const part of items(path(candidate, 'content', 'parts'))) seen.textChars += length(field(part, 'text'));
  }
  const usage = field(answer, 'usageMetadata');
  const prompt = tokens(field(usage, 'promptTokenCount'));
  if (prompt === null) return;
  const input = prompt + (tokens(field(usage, 'toolUsePromptTokenCount')) ?? 0);
  seen.cacheReadTokens = Math.min(tokens(field(usage, 'cachedContentTokenCount')) ?? 0, input);
  seen.inputTokens = input - seen.cacheReadTokens;
  seen.outputTokens =
    (tokens(field(usage, 'candidatesTokenCount')) ?? 0) + (tokens(field(usage, 'thoughtsTokenCount')) ?? 0);
  seen.hasInput = true;
  seen.isFinal ||= finished;
}
