import { z } from '@hono/zod-openapi';
import { isErrorCode } from '../protocol/errors.ts';

/** Shapes that only the HTTP layer needs: path parameters and the documented failures. */
export const sessionParams = z.object({ id: z.string().min(1).max(100) });

export const errorBody = z
  .object({
    error: z.object({
      code: z.string().refine(isErrorCode),
      message: z.string(),
      field: z.string().optional(),
      retryable: z.boolean(),
      context: z.record(z.string(), z.unknown()).optional(),
    }),
  })
  .openapi('Error');

export const failures = {
  default: { description: 'A failure; `code` says which', content: { 'application/json': { schema: errorBody } } },
};

export function json<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

export function jsonBody<S extends z.ZodType>(schema: S) {
  return { body: { required: true, content: { 'application/json': { schema } } } };
}

export const queryFlag = z.enum(['true', 'false']).optional().transform((value) => value === 'true');
export const workspacePath = z.string().min(1).max(4096);
export const tokenNeeded = [{ token: [] }];
