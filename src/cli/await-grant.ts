import type { DeviceAnswer, DeviceStart } from '../protocol/device-api.ts';
import { BerthError, type BerthClient } from '../sdk/index.ts';
import { delay } from '../sdk/delay.ts';

export type Granted = Extract<DeviceAnswer, { state: 'granted' }>;

/** A server that is away for longer than any code is good will not say so any more. */
const giveUpMs = 15 * 60_000;

/**
 * Asks until somebody has decided. Throws `forbidden` when it was refused, `timeout` when nobody came; a server that is away, or has
 * enough of questions, is asked again.
 */
export async function awaitGrant(client: BerthClient, { deviceCode, intervalSeconds }: DeviceStart): Promise<Granted> {
  const late = () => new BerthError('timeout', 'nobody has let this in before the code ended; run berth login again');
  for (let waitedMs = 0, waitMs = intervalSeconds * 1000; waitedMs < giveUpMs; waitedMs += waitMs) {
    await delay(waitMs);
    try {
      const answer = await client.devices.poll(deviceCode);
      if (answer.state === 'granted') return answer;
      if (answer.state === 'denied') throw new BerthError('forbidden', 'it was refused on the web page');
      if (answer.state === 'ended') throw late();
    } catch (error) {
      if (!(error instanceof BerthError) || !['unavailable', 'rate_limited'].includes(error.code)) throw error;
      // As RFC 8628 has it: more seldom, for good.
      if (error.code === 'rate_limited') waitMs += intervalSeconds * 1000;
    }
  }
  throw late();
}
