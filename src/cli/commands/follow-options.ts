import { Option, type Command } from 'commander';
import type { AllowPolicy } from '../render/permission.ts';

export interface AllowFlag {
  allow: AllowPolicy;
}

/** The option of every command that may meet a permission request. */
export function withAllow(command: Command): Command {
  return command.addOption(
    new Option('--allow <policy>', 'answer permission requests: each once, always, or ask at this terminal')
      .choices(['once', 'always', 'ask'])
      .default('ask'),
  );
}
