import type Docker from 'dockerode';
import {
  guestAgentsPath,
  guestHome,
  guestRunnerPath,
  guestUser,
} from '../../../core/ports/sandbox-provider.ts';
import { runnerProgram } from '../../runner-layer/runner-layer.ts';
import type { TemplateBind } from '../../templates/template.ts';
import { guestRunPath, hostnameOf, runnerArgv, runnerEnvironment } from '../_shared/runner-process.ts';
import { engineLimits } from './limits.ts';
import { containerName, labels } from './names.ts';
import type { SandboxRecord } from './record.ts';

export interface ContainerInput {
  installation: string;
  record: SandboxRecord;
  binds: readonly TemplateBind[];
  layerPath: string;
  agentsDir: string;
  runPath: string;
  /** Of the engine; `null`: its default. */
  runtime: string | null;
  maxOpenFiles: number;
  /** Of all of the user's processes; `null`: the engine's default. */
  maxProcesses: number | null;
  swapCounted: boolean;
  /** As the engine takes it; see `Installation.seccomp`. */
  seccomp: string;
}

const openFiles = 65_536;
/** Killed before the host's own processes when memory runs out. */
const oomScoreAdj = 500;
const mebibyte = 1024 ** 2;
/** A sandbox sees its own cgroup as the root. The engine's API has it; the client's types do not. */
const ownCgroups = { CgroupnsMode: 'private' };

/** The same walls as every local sandbox has; what is not said here an engine has by default (masked paths, devices). */
export function createContainerConfig(input: ContainerInput): Docker.ContainerCreateOptions {
  const { installation, record } = input;
  const name = containerName(installation, record.id);
  const files = Math.min(openFiles, input.maxOpenFiles);
  const ownKernel = input.runtime !== null && input.runtime !== 'runc' && input.runtime !== 'crun';
  return {
    name,
    Image: record.image,
    Hostname: hostnameOf(record.id),
    User: `${guestUser.uid}:${guestUser.gid}`,
    WorkingDir: guestHome,
    // gVisor runs no program that it may not read.
    Entrypoint: runnerArgv(ownKernel ? 'node' : runnerProgram),
    Cmd: [],
    Env: runnerEnvironment(record.env),
    Labels: { [labels.installation]: installation, [labels.sandbox]: record.id },
    StopSignal: 'SIGTERM',
    HostConfig: {
      NetworkMode: 'none',
      Mounts: [
        ...input.binds.map(({ source, destination }) => readOnly(source, destination)),
        readOnly(input.layerPath, guestRunnerPath),
        readOnly(input.agentsDir, guestAgentsPath),
        { Type: 'bind', Source: input.runPath, Target: guestRunPath, BindOptions: { Propagation: 'private' } },
        { Type: 'volume', Source: name, Target: guestHome },
      ],
      Tmpfs: { '/run': 'rw,nosuid,nodev,mode=755,size=64m' },
      ShmSize: 256 * mebibyte,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges', `seccomp=${input.seccomp}`],
      IpcMode: 'private',
      ...ownCgroups,
      OomScoreAdj: oomScoreAdj,
      Ulimits: [
        { Name: 'nofile', Soft: files, Hard: files },
        { Name: 'core', Soft: 0, Hard: 0 },
        ...(input.maxProcesses === null ? [] : [{ Name: 'nproc', Soft: input.maxProcesses, Hard: input.maxProcesses }]),
      ],
      RestartPolicy: { Name: 'no' },
      // What the runner says when it cannot start; a sandbox must not fill the disk by talking.
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '1' } },
      ...(input.runtime === null ? {} : { Runtime: input.runtime }),
      ...engineLimits(record.limits, input.swapCounted),
    },
  };
}

function readOnly(source: string, destination: string): Docker.MountSettings {
  return { Type: 'bind', Source: source, Target: destination, ReadOnly: true, BindOptions: { Propagation: 'private' } };
}
