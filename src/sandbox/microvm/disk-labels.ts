/** Names the disks to `init.sh`. */
export const diskLabels = { root: 'berth-root', runner: 'berth-runner', own: 'berth-disk', agents: 'berth-agents' } as const;
