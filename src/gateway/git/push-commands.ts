import { MalformedGit } from './pkt-line.ts';

/** One change of a ref that a push asks for (gitprotocol-pack, "Reference Update Request"). */
export interface PushCommand {
  oldId: string;
  /** All zeros: the ref is to be deleted. */
  newId: string;
  ref: string;
}

export interface PushCommands {
  commands: PushCommand[];
  capabilities: ReadonlySet<string>;
}

const commandPattern = /^([0-9a-f]{40}) ([0-9a-f]{40}) (\S+)$/;
const shallowPattern = /^shallow [0-9a-f]{40}$/;
export const maxRefBytes = 1024;

/**
 * Reads the list that a push begins with. `shallow` lines are passed over: whether history is whole is seen from the
 * objects. Throws `MalformedGit`, for a signed push too, whose commands are inside a certificate.
 */
export function parsePushCommands(lines: readonly Buffer[]): PushCommands {
  const commands: PushCommand[] = [];
  let capabilities: ReadonlySet<string> | null = null;
  for (const line of lines) {
    let text = decode(line).replace(/\n$/, '');
    if (capabilities === null && shallowPattern.test(text)) continue;
    if (capabilities === null) {
      const [command = '', offered = '', ...more] = text.split('\0');
      if (more.length > 0) throw new MalformedGit('the push names its capabilities twice');
      if (command === 'push-cert') throw new MalformedGit('signed pushes are not taken');
      capabilities = new Set(offered.split(' ').filter((each) => each !== ''));
      text = command;
    }
    commands.push(parseCommand(text));
  }
  if (capabilities === null) throw new MalformedGit('the push names no ref');
  if (new Set(commands.map(({ ref }) => ref)).size !== commands.length) throw new MalformedGit('the push names a ref twice');
  return { commands, capabilities };
}

export function isDeletion({ newId }: PushCommand): boolean {
  return /^0+$/.test(newId);
}

function parseCommand(text: string): PushCommand {
  const [, oldId, newId, ref] = commandPattern.exec(text) ?? [];
  if (oldId === undefined || newId === undefined || ref === undefined || !isRef(ref)) {
    throw new MalformedGit('the push holds a line that is no change of a ref');
  }
  return { oldId, newId, ref };
}

/** Loosely: what may be pushed to is compared with one name as a whole. This keeps out what could not be shown. */
function isRef(ref: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return ref.startsWith('refs/') && Buffer.byteLength(ref) <= maxRefBytes && !/[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{/.test(ref);
}

function decode(line: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line);
  } catch (cause) {
    throw new MalformedGit('the push holds text that is not UTF-8', { cause });
  }
}
