import type { PermissionOption } from '../../sdk/index.ts';
import { sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';

/** A permission option with the key that chooses it. */
export interface KeyedOption {
  key: string;
  option: PermissionOption;
}

const letters = { allow_once: 'y', allow_always: 'a', reject_once: 'n', reject_always: 'd' } as const;

/** The first option of each kind gets that kind's letter; any other its number in the list. */
export function keyOptions(options: readonly PermissionOption[]): KeyedOption[] {
  const taken = new Set<string>();
  return options.map((option, at) => {
    const letter = letters[option.kind];
    const key = taken.has(letter) ? String(at + 1) : letter;
    taken.add(key);
    return { key, option };
  });
}

/** The choices on one line: `[y] Allow once  [n] Reject`. */
export function renderChoices(options: readonly PermissionOption[], style: Style): string {
  return keyOptions(options)
    .map(({ key, option }) => `${style.bold(`[${key}]`)} ${sanitizeLine(option.name)}`)
    .join('  ');
}

/** What `--allow` says about requests that nobody is asked about. */
export type AllowPolicy = 'once' | 'always' | 'ask';

/**
 * The option a policy chooses, or `null` to cancel the request. `once` never turns into a lasting
 * grant; `always` may fall back to a single one, which grants less.
 */
export function chooseByPolicy(
  options: readonly PermissionOption[],
  policy: 'once' | 'always' | 'reject',
): string | null {
  const wanted = {
    once: ['allow_once'],
    always: ['allow_always', 'allow_once'],
    reject: ['reject_once'],
  }[policy];
  for (const kind of wanted) {
    const option = options.find((each) => each.kind === kind);
    if (option !== undefined) return option.optionId;
  }
  return null;
}
