import { guestHome, guestRunnerPath, guestUser } from '../../../core/ports/sandbox-provider.ts';
import { runnerEntry, runnerEnv, runnerNodeFlags } from '../../../protocol/runner-launch.ts';

export const tokenFileName = 'token';
export const socketFileName = 'runner.sock';
/** The directory with the runner's socket, as the sandbox sees it. */
export const guestRunPath = '/berth/run';
/** The runner's journals: on the disk, but out of the way of `rm -rf ~`. */
export const guestStatePath = '/var/lib/berth';

/** The first process of a sandbox; `program` is the layer's Node or what stands in for it. */
export function runnerArgv(program: string): string[] {
  return [
    `${guestRunnerPath}/bin/tini`,
    '--',
    `${guestRunnerPath}/bin/${program}`,
    ...runnerNodeFlags,
    `${guestRunnerPath}/${runnerEntry}`,
  ];
}

/** Its environment, `NAME=value`: the caller's own cannot change how the runner is reached. `namesPort`: where it answers DNS questions. */
export function runnerEnvironment(env: Readonly<Record<string, string>>, namesPort: number | null = null): string[] {
  const names = namesPort === null ? {} : { [runnerEnv.namesPort]: String(namesPort) };
  return Object.entries({ ...baseEnv, ...env, ...launchEnv, ...names }).map(([name, value]) => `${name}=${value}`);
}

const baseEnv = {
  PATH: `${guestHome}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  HOME: guestHome,
  USER: guestUser.name,
  LOGNAME: guestUser.name,
  LANG: 'C.UTF-8',
};

const launchEnv = {
  [runnerEnv.socket]: `${guestRunPath}/${socketFileName}`,
  [runnerEnv.tokenFile]: `${guestRunPath}/${tokenFileName}`,
  [runnerEnv.stateDir]: guestStatePath,
};

/** Short enough for any prompt: the end of the id, where its chance is. */
export function hostnameOf(id: string): string {
  return id.replaceAll('_', '-').slice(-12).replace(/^-+/, '');
}
