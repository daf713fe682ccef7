import { useEffect, useRef, useState } from 'react';
import type { SandboxUsage } from '../../../src/sdk/index.ts';

/** Points that are kept: at one each five seconds, the last five minutes. */
const kept = 60;

export interface UsagePoint {
  memoryBytes: number;
  diskBytes: number;
  pids: number;
  cpus: number;
}

/** Usage over time; CPU as cores, from how far its time went between two looks. */
export function useHistory(usage: SandboxUsage | undefined, at: number): readonly UsagePoint[] {
  const [points, setPoints] = useState<readonly UsagePoint[]>([]);
  const before = useRef<{ at: number; cpuTimeMs: number } | null>(null);
  useEffect(() => {
    if (usage === undefined) return;
    const passed = before.current === null ? 0 : at - before.current.at;
    const cpus =
      passed > 0 && before.current !== null ? Math.max(0, usage.cpuTimeMs - before.current.cpuTimeMs) / passed : 0;
    before.current = { at, cpuTimeMs: usage.cpuTimeMs };
    const { memoryBytes, diskBytes, pids } = usage;
    setPoints((known) => [...known.slice(1 - kept), { memoryBytes, diskBytes, pids, cpus }]);
  }, [usage, at]);
  return points;
}
