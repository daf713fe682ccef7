import { z } from 'zod';

/**
 * One block of a prompt: the subset of ACP's `ContentBlock` that Berth accepts from callers.
 * Source: agentclientprotocol.com, "Content".
 */
export const contentBlock = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string().max(1_000_000) }),
  z.object({
    type: z.literal('image'),
    mimeType: z.string().regex(/^image\/(png|jpeg|gif|webp)$/),
    data: z.base64().max(8_000_000),
  }),
  z.object({
    type: z.literal('resource_link'),
    uri: z.string().max(4096),
    name: z.string().max(1024),
    mimeType: z.string().max(200).optional(),
  }),
]);
export type ContentBlock = z.infer<typeof contentBlock>;

export const prompt = z.array(contentBlock).min(1).max(64);
export type Prompt = z.infer<typeof prompt>;
