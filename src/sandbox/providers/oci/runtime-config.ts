import { basename } from 'node:path';
import {
  guestAgentsPath,
  guestHome,
  guestObjectsPath,
  guestRunnerPath,
  guestUser,
} from '../../../core/ports/sandbox-provider.ts';
import { runnerProgram } from '../../runner-layer/runner-layer.ts';
import type { CgroupLayout } from '../../host/cgroups.ts';
import type { RunnerLayer } from '../../runner-layer/runner-layer.ts';
import type { Template } from '../../templates/template.ts';
import { cpuPeriodUs, cpuQuotaUs } from '../_shared/cgroup.ts';
import { guestRunPath, hostnameOf, runnerArgv, runnerEnvironment } from '../_shared/runner-process.ts';
import type { DiskPaths, SandboxPaths } from './paths.ts';
import type { SandboxRecord } from './record.ts';
import { createSeccompProfile } from '../_shared/seccomp.ts';

export interface RuntimeConfigInput {
  record: SandboxRecord;
  template: Template;
  layer: RunnerLayer;
  paths: SandboxPaths;
  disk: DiskPaths;
  objectsDir: string;
  agentsDir: string;
  cgroups: CgroupLayout;
  cgroupPath: string;
  /** The most that can be asked for; see `maxOpenFiles`. */
  maxOpenFiles: number;
  /** Whether the template has a glibc loader of its own for programs that are not Berth's. */
  templateHasLoader: boolean;
  /**
   * gVisor runs no program that it may not read. There a process cannot trace its ancestor, so the runner, started by
   * the same program as anyone's Node, is as safe.
   */
  gvisor: boolean;
  /** Where sandboxes may get a network: the policy of one that runs may change. */
  answersNames: boolean;
}

/** What the kernel tells everyone who looks, about the host and not about the sandbox. As the runtime-spec's defaults. */
const maskedPaths = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Where resolvers look on 127.0.0.1 when no server is named. */
const namesPort = 53;
const openFiles = 65_536;
/** Killed before the host's own processes when memory runs out. Only upward: lowering it takes a capability. */
const oomScoreAdj = 500;

/** The `config.json` of one sandbox (OCI runtime-spec 1.0). */
export function createRuntimeConfig(input: RuntimeConfigInput): object {
  const { record, cgroups } = input;
  const files = Math.min(openFiles, input.maxOpenFiles);
  return {
    ociVersion: '1.0.2',
    hostname: hostnameOf(record.id),
    root: { path: input.paths.rootfs, readonly: false },
    process: {
      terminal: false,
      user: { uid: guestUser.uid, gid: guestUser.gid, umask: 0o022 },
      cwd: guestHome,
      args: runnerArgv(input.gvisor ? 'node' : runnerProgram),
      env: runnerEnvironment(record.env, input.answersNames ? namesPort : null),
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      noNewPrivileges: true,
      oomScoreAdj,
      rlimits: [
        { type: 'RLIMIT_NOFILE', soft: files, hard: files },
        { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
      ],
    },
    mounts: [...systemMounts(cgroups), ...ownMounts(input)],
    // Read by runc at each checkpoint and restore.
    annotations: { 'org.criu.config': input.paths.criuConfig },
    linux: {
      cgroupsPath: input.cgroupPath,
      namespaces: ['pid', 'mount', 'uts', 'ipc', 'network', 'cgroup'].map((type) => ({ type })),
      resources: createResources(record, cgroups),
      ...(input.answersNames ? { sysctl: { 'net.ipv4.ip_unprivileged_port_start': String(namesPort) } } : {}),
      seccomp: createSeccompProfile(),
      maskedPaths,
      readonlyPaths,
      rootfsPropagation: 'private',
    },
  };
}

function systemMounts(cgroups: CgroupLayout): object[] {
  const sealed = ['nosuid', 'noexec', 'nodev'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: sealed },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=64k'] },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...sealed, 'mode=1777', 'size=256m'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: sealed },
    { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=755', 'size=64m'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...sealed, 'ro'] },
    // Node, Go and Java size themselves by the limits they read here.
    ...(cgroups.mode === 'none'
      ? []
      : [{ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...sealed, 'relatime', 'ro'] }]),
  ];
}

function ownMounts(input: RuntimeConfigInput): object[] {
  const { template, layer, disk } = input;
  const readOnly = (source: string, destination: string) => ({
    destination,
    type: 'bind',
    source,
    options: ['bind', 'private', 'ro', 'nosuid', 'nodev'],
  });
  const writable = (source: string, destination: string, more: readonly string[] = []) => ({
    destination,
    type: 'bind',
    source,
    options: ['bind', 'private', 'rw', 'nosuid', 'nodev', ...more],
  });
  return [
    ...template.binds.map(({ source, destination }) => readOnly(source, destination)),
    ...(input.templateHasLoader ? [] : glibcMounts(layer, readOnly)),
    writable(disk.home, guestHome),
    readOnly(layer.path, guestRunnerPath),
    readOnly(input.agentsDir, guestAgentsPath),
    readOnly(input.objectsDir, guestObjectsPath),
    writable(disk.run, guestRunPath, ['noexec']),
    // gVisor would put a file system in memory there, whose files no snapshot has.
    ...(input.gvisor ? [writable(`${input.paths.rootfs}/tmp`, '/tmp')] : []),
  ];
}

/** Agents bring programs bound to glibc at its usual place; a template without glibc is lent Berth's. */
function glibcMounts(layer: RunnerLayer, readOnly: (source: string, destination: string) => object): object[] {
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  return [
    readOnly(`${layer.path}/lib/${basename(layer.loader)}`, layer.loader),
    readOnly(`${layer.path}/lib`, `/lib/${triplet}`),
  ];
}

export function createResources({ limits }: Pick<SandboxRecord, 'limits'>, cgroups: CgroupLayout): object {
  const has = (controller: string) => cgroups.controllers.has(controller);
  return {
    devices: [{ allow: false, access: 'rwm' }],
    ...(has('memory')
      ? { memory: { limit: limits.memoryBytes, ...(cgroups.swapCounted ? { swap: limits.memoryBytes } : {}) } }
      : {}),
    ...(has('cpu')
      ? {
          cpu: {
            quota: cpuQuotaUs(limits.cpus),
            period: cpuPeriodUs,
          },
        }
      : {}),
    ...(has('pids') ? { pids: { limit: limits.pids } } : {}),
  };
}
