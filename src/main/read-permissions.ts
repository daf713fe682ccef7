import { readFile } from 'node:fs/promises';
import { defaultPermissionPolicy } from '../core/permissions/default-policy.ts';
import { BerthError } from '../protocol/errors.ts';
import { permissionPolicy, type PermissionPolicy } from '../protocol/permission-policy.ts';

/** The server's rules; `null`: Berth's own. Throws `invalid_request` naming the variable, and the rule at fault. */
export async function readPermissions(file: string | null): Promise<PermissionPolicy> {
  if (file === null) return defaultPermissionPolicy;
  const field = 'BERTH_PERMISSIONS';
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new BerthError('invalid_request', `${field}: ${file} cannot be read`, { field, cause });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BerthError('invalid_request', `${field}: ${file} is not JSON`, { field, cause });
  }
  const parsed = permissionPolicy.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BerthError('invalid_request', `${field}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not valid'}`, { field });
}
