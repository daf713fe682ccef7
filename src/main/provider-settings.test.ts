import { expect, test } from 'vitest';
import { readProviderOptions } from './provider-settings.ts';

test('a full network is for every driver that can give one, and only where it is allowed', () => {
  const full = { BERTH_ALLOW_FULL_NETWORK: 'true', BERTH_FULL_NETWORK_NAMESPACE: '/run/netns/out' };
  for (const name of ['oci', 'qemu', 'firecracker']) {
    expect(readProviderOptions({})[name], name).toMatchObject({ fullNetwork: null });
    expect(readProviderOptions({ ...full, BERTH_ALLOW_FULL_NETWORK: 'false' })[name], name).toMatchObject({ fullNetwork: null });
    expect(readProviderOptions(full)[name], name).toMatchObject({ fullNetwork: { namespace: '/run/netns/out' } });
  }
  expect(readProviderOptions(full)['docker']).not.toHaveProperty('fullNetwork');
});

test('bounds are told in MiB and counts, and what is not set is no bound', () => {
  const set = { BERTH_FIRECRACKER_NETWORK_MIB_PER_SECOND: '25', BERTH_FIRECRACKER_NETWORK_PACKETS_PER_SECOND: '20000', BERTH_FIRECRACKER_DISK_MIB_PER_SECOND: '100' };
  expect(readProviderOptions(set)['firecracker']).toMatchObject({
    cardLimits: { bytesPerSecond: 25 * 1024 ** 2, packetsPerSecond: 20_000 },
    driveLimits: { bytesPerSecond: 100 * 1024 ** 2, operationsPerSecond: undefined },
  });
  expect(() => readProviderOptions({ BERTH_FIRECRACKER_NETWORK_MIB_PER_SECOND: '0' })).toThrow(/BERTH_FIRECRACKER_NETWORK_MIB_PER_SECOND/);
});
