import { readFile } from 'node:fs/promises';
import { permissionMode, permissionPolicy, type SetPermissionPolicyRequest } from '../protocol/permission-policy.ts';
import { usageError } from './failure.ts';

/** `policy`, `ask`, `allow`, or a JSON file of rules. Throws a usage error that names what is wrong in it. */
export async function readPolicyOption(text: string, option: string): Promise<SetPermissionPolicyRequest> {
  const mode = permissionMode.safeParse(text);
  if (mode.success) return { mode: mode.data };
  const content = await readFile(text, 'utf8').catch(() => {
    throw usageError(`${option}: ${permissionMode.options.join(', ')}, or a file of rules that can be read; not "${text}"`, option);
  });
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    throw usageError(`${option}: ${text} is not JSON`, option);
  }
  const policy = permissionPolicy.safeParse(value);
  if (policy.success) return { mode: 'policy', policy: policy.data };
  const [issue] = policy.error.issues;
  throw usageError(`${option}: ${text}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not valid'}`, option);
}
