import { z } from 'zod';

/** `POST /api/sessions/{id}/ports/{port}/preview` -> 201 `previewLink`. */
export const previewLink = z.object({
  /** Opens the preview in the browser that follows it. */
  url: z.string(),
  /** Until when it may be followed. */
  expiresAt: z.iso.datetime(),
});
export type PreviewLink = z.infer<typeof previewLink>;
