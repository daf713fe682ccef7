import type { Finding, ProviderReport } from '../../../core/ports/sandbox-provider.ts';
import { asBerthError, BerthError } from '../../../protocol/errors.ts';
import { findProgram } from '../../find-program.ts';
import { connectEngine, type ConnectEngine } from './engine.ts';
import { describeEngine, type EngineFacts } from './engine-facts.ts';

export interface EngineReportOptions {
  socketPath: string;
  runtime: string | null;
  connect?: ConnectEngine;
}

const layerPrograms = ['tini-static', 'patchelf', 'tar'];
/** Beside them, for an engine that is not root's. */
const passagePrograms = ['setpriv', 'setfacl'];

/** Whether the engine is there, and what it can. Changes nothing. */
export async function createEngineReport({ socketPath, runtime, connect }: EngineReportOptions): Promise<ProviderReport> {
  const { finding, rootless } = await engineFinding(socketPath, runtime, connect ?? connectEngine);
  const findings = [finding, await privilegesFinding(), await programsFinding(rootless ? [...layerPrograms, ...passagePrograms] : layerPrograms)];
  return { usable: findings.every(({ status }) => status !== 'missing'), findings };
}

async function engineFinding(
  socketPath: string,
  runtime: string | null,
  connect: ConnectEngine,
): Promise<{ finding: Finding; rootless: boolean }> {
  const subject = 'container engine';
  const none = 'the docker provider cannot be used';
  let facts: EngineFacts;
  try {
    facts = await describeEngine(await connect(socketPath), socketPath);
  } catch (thrown) {
    const error = asBerthError(thrown);
    const detected = error instanceof BerthError ? error.message : String(thrown);
    const advice = `start Docker or Podman's service, or set BERTH_DOCKER_HOST to its socket (now ${socketPath})`;
    return { finding: { subject, status: 'missing', detected, choice: none, advice }, rootless: false };
  }
  const rootless = facts.user !== null;
  const unusable = (advice: string) => ({ finding: { subject, status: 'missing' as const, detected, choice: none, advice }, rootless });
  const detected = `${rootless ? 'rootless ' : ''}${facts.name} ${facts.version} at ${socketPath}, runtimes: ${facts.runtimes.join(' ') || 'one'}`;
  if (facts.unusable !== null) return unusable(facts.unusable);
  if (runtime !== null && !facts.runtimes.includes(runtime)) {
    return unusable(`give the engine the runtime ${runtime} (daemon.json), or unset BERTH_DOCKER_RUNTIME`);
  }
  const missing = (['cpus', 'memoryBytes', 'pids'] as const).filter((limit) => !facts.limits.includes(limit));
  const kept = facts.limits.length === 0 ? 'no limits are enforced' : `limits on ${facts.limits.join(', ')} are enforced`;
  const finding: Finding = {
    subject,
    status: missing.length === 0 ? 'ok' : 'degraded',
    detected,
    choice: `sandboxes run by ${runtime ?? "the engine's default runtime"}; ${kept}, disks are not limited`,
    advice: missing.length === 0 ? null : `the engine does not limit ${missing.join(', ')}: give it these cgroup controllers`,
  };
  return { finding, rootless };
}

async function privilegesFinding(): Promise<Finding> {
  const isRoot = process.getuid?.() === 0;
  return {
    subject: 'privileges',
    status: isRoot ? 'ok' : 'missing',
    detected: isRoot ? 'root' : `uid ${process.getuid?.()}`,
    choice: "the runner's socket is given to the sandbox's user",
    advice: isRoot ? null : 'run Berth as root',
  };
}

async function programsFinding(programs: readonly string[]): Promise<Finding> {
  const found = await Promise.all(programs.map((name) => findProgram(name)));
  const missing = programs.filter((_, index) => found[index] === null);
  return {
    subject: 'programs',
    status: missing.length === 0 ? 'ok' : 'missing',
    detected: missing.length === 0 ? programs.join(' ') : `without ${missing.join(' ')}`,
    choice: "for the runner's layer and templates",
    advice: missing.length === 0 ? null : missing.includes('setfacl') ? 'apt-get install acl' : 'run scripts/setup.sh',
  };
}
