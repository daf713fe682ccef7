import { BerthError } from '../../protocol/errors.ts';
import type { Prompt } from '../../protocol/content.ts';

/**
 * A prompt as ACP content blocks; ours are a subset with the same shape. Throws `unsupported` naming the
 * block that the agent has not said it can take. Texts and links every agent takes.
 */
export function toAcpPrompt(prompt: Prompt, capabilities: Record<string, unknown>): Prompt {
  const offered = (capabilities['promptCapabilities'] ?? {}) as Record<string, unknown>;
  for (const [i, block] of prompt.entries()) {
    if (block.type === 'image' && offered['image'] !== true) {
      throw new BerthError('unsupported', 'the agent does not take images', { field: `prompt.${i}` });
    }
  }
  return prompt;
}
