/** What a request below `/git/` asks for. */
export interface GitTarget {
  /** Lower case, with its port where one is named. */
  host: string;
  /** As it was asked for. */
  path: string;
  service: 'git-upload-pack' | 'git-receive-pack';
  step: 'advertise' | 'exchange';
}

export const gitPrefix = '/git/';

const advertise = /^(.+)\/info\/refs\?service=(git-upload-pack|git-receive-pack)$/;
const exchange = /^(.+)\/(git-upload-pack|git-receive-pack)$/;
const repository = /^\/git\/([a-z0-9.-]{1,253}(?::[1-9][0-9]{0,4})?)((?:\/[A-Za-z0-9_~%+@.-]{1,255}){1,20})$/;

/**
 * The four requests of smart HTTP (gitprotocol-http), at `/git/<host>/<path>`; `null` for all else, files of the dumb
 * protocol and other services included. Nothing is decoded or resolved, and no step of a path is made of dots.
 */
export function parseGitTarget(method: string, target: string): GitTarget | null {
  const step = method === 'GET' ? 'advertise' : method === 'POST' ? 'exchange' : null;
  if (step === null || target.length > 4096) return null;
  const [, address = '', service] = (step === 'advertise' ? advertise : exchange).exec(target) ?? [];
  const [, host, path] = repository.exec(address) ?? [];
  if (host === undefined || path === undefined || path.split('/').some((each) => /^(?:\.|%2e)+$/i.test(each))) return null;
  return { host, path, service: service as GitTarget['service'], step };
}
