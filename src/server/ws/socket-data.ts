import type { WSContext } from 'hono/ws';
import type { WebSocket } from 'ws';

/** Stops and starts the reading of a socket; what the adapter wraps can do it, the web's own interface cannot. */
export function flowOf(ws: WSContext): { pause: () => void; resume: () => void } {
  const raw = ws.raw as WebSocket;
  return { pause: () => raw.pause(), resume: () => raw.resume() };
}

/** A message's bytes; `null` for text. */
export function toBytes(data: unknown): Uint8Array | null {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (data instanceof Uint8Array) return data;
  return null;
}
