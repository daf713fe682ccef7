import { existsSync } from 'node:fs';

const defaults = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/home/user',
  USER: 'user',
  LOGNAME: 'user',
  LANG: 'C.UTF-8',
  TERM: 'xterm-256color',
};

/**
 * The whole environment of a process that the runner starts: defaults, then the sandbox's own (the
 * runner's, without `BERTH_*`), then what the caller asked for.
 */
export function childEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = { ...defaults, ...inherited() };
  env['SHELL'] ??= existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh';
  return { ...env, ...extra };
}

function inherited(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith('BERTH_')) env[name] = value;
  }
  return env;
}

/** Where a process starts when its request names no directory. */
export function defaultCwd(): string {
  const home = process.env['HOME'] ?? defaults.HOME;
  return existsSync(home) ? home : '/';
}
