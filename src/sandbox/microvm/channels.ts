import type { Duplex } from 'node:stream';
import { BerthError } from '../../protocol/errors.ts';
import { openGuestChannel, type GuestChannel } from './guest-channel.ts';
import type { LineAddress } from './line.ts';
import { orAborted } from '../or-aborted.ts';

/** The lines to the guests that this process talks to: one each, opened when it is first needed. */
export interface Channels {
  /** `link` is the line of the sandbox's machine. Joins who opens it meanwhile. */
  of(id: string, link: LineAddress, signal: AbortSignal): Promise<GuestChannel>;
  dial(id: string, link: LineAddress, signal: AbortSignal): Promise<Duplex>;
  /** Ends a sandbox's line and the streams over it. */
  drop(id: string): Promise<void>;
  close(): Promise<void>;
}

/** A runner that lives answers in moments, on a slow machine in seconds. */
const openMs = 20_000;

export function createChannels(): Channels {
  const open = new Map<string, { channel: Promise<GuestChannel>; stop: AbortController }>();

  async function drop(id: string): Promise<void> {
    const entry = open.get(id);
    if (entry === undefined) return;
    open.delete(id);
    entry.stop.abort(new BerthError('sandbox_lost', `the line to sandbox ${id} was ended`));
    (await entry.channel.catch(() => null))?.close();
  }

  async function of(id: string, link: LineAddress, signal: AbortSignal): Promise<GuestChannel> {
    for (;;) {
      let entry = open.get(id);
      if (entry === undefined) {
        const stop = new AbortController();
        const channel = openGuestChannel(link, AbortSignal.any([stop.signal, AbortSignal.timeout(openMs)]));
        entry = { channel, stop };
        open.set(id, entry);
        const mine = entry;
        channel.catch(() => {
          if (open.get(id) === mine) open.delete(id);
        });
      }
      const channel = await orAborted(entry.channel, signal);
      if (channel.alive) return channel;
      if (open.get(id) === entry) await drop(id);
    }
  }

  return {
    of,
    dial: async (id, link, signal) => (await of(id, link, signal)).dial(signal),
    drop,
    async close() {
      await Promise.all([...open.keys()].map(drop));
    },
  };
}
