import { cpus, release, totalmem } from 'node:os';
import { runCommand } from '../src/sandbox/run-command.ts';

/** What the figures were measured on. */
export async function describeMachine(): Promise<string> {
  const [processor] = cpus();
  const versions = await Promise.all([
    versionOf('runc', 'runc'),
    versionOf('crun', 'crun'),
    versionOf('dockerd', 'docker'),
    versionOf('git', 'git'),
  ]);
  return [
    `${processor?.model ?? 'unknown CPU'}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    `kernel ${release()}`,
    `Node ${process.version.slice(1)}`,
    ...versions.filter((version) => version !== null),
    new Date().toISOString().slice(0, 10),
  ].join('; ');
}

/** `null` when it is not installed. */
async function versionOf(program: string, name: string): Promise<string | null> {
  const printed = await runCommand(program, ['--version']).catch(() => null);
  const version = /\d+\.\d+[\w.+~-]*/.exec(printed?.stdout ?? '')?.[0];
  return version === undefined ? null : `${name} ${version}`;
}
