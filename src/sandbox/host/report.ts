import type { ProviderReport } from '../../core/ports/sandbox-provider.ts';
import { planStorage, type StorageChoice } from '../storage/storage.ts';
import { fullNetworkFinding, type FullNetworkSettings } from '../full-network/host-check.ts';
import { detectCgroups } from './cgroups.ts';
import {
  cgroupFinding,
  checkpointFinding,
  gvisorFinding,
  inotifyFinding,
  kvmFinding,
  machineFinding,
  privilegeFinding,
  runtimeFinding,
} from './findings.ts';
import { programsFinding } from './programs.ts';
import { chooseRuntime, type RuntimeName } from './runtimes.ts';

export interface HostReportOptions {
  dataDir: string;
  runtime?: RuntimeName | null;
  storage?: StorageChoice;
  /** Default `null`: not asked for. */
  fullNetwork?: FullNetworkSettings | null;
}

/** What this machine offers to local sandboxes, what is taken and why, and how to get better. Changes nothing. */
export async function createHostReport(options: HostReportOptions): Promise<ProviderReport> {
  const cgroups = await detectCgroups();
  const runtime = await chooseRuntime(cgroups.mode, options.runtime ?? null);
  const [machine, privileges, storage, programs, inotify, checkpoint, gvisor, kvm, network] = await Promise.all([
    machineFinding(options.dataDir),
    privilegeFinding(),
    planStorage(options.dataDir, options.storage ?? 'auto').then((plan) => plan.finding),
    programsFinding(),
    inotifyFinding(),
    checkpointFinding(runtime),
    gvisorFinding(runtime),
    kvmFinding(),
    fullNetworkFinding(options.fullNetwork ?? null, runtime.chosen?.name === 'runsc' ? 'none' : 'pair'),
  ]);
  const findings = [
    machine,
    privileges,
    runtimeFinding(runtime),
    cgroupFinding(cgroups),
    storage,
    programs,
    inotify,
    checkpoint,
    gvisor,
    kvm,
    network,
  ];
  const needed = new Set(['privileges', 'runtime', 'programs']);
  const usable = findings.every((finding) => finding.status !== 'missing' || !needed.has(finding.subject));
  return { usable, findings };
}
