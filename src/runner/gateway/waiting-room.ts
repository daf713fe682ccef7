import type { Socket } from 'node:net';

/** Connections of agents that retry in a loop while the server is away must not pile up. */
const maxWaiting = 512;

/**
 * Connections that wait for a channel. Nothing is read from them, so the kernel holds their senders back. Each waits until
 * its own deadline and is then reset.
 */
export class WaitingRoom {
  readonly #waiting = new Map<Socket, { deadline: number; timer: NodeJS.Timeout }>();

  get size(): number {
    return this.#waiting.size;
  }

  add(socket: Socket, deadline: number): void {
    if (this.#waiting.size >= maxWaiting) {
      socket.resetAndDestroy();
      return;
    }
    const timer = setTimeout(() => {
      this.#waiting.delete(socket);
      socket.resetAndDestroy();
    }, deadline - Date.now());
    this.#waiting.set(socket, { deadline, timer });
    socket.once('close', () => this.#forget(socket));
  }

  /** Everyone who waits, each with its deadline; the room is empty afterwards. */
  takeAll(): { socket: Socket; deadline: number }[] {
    const all = [...this.#waiting].map(([socket, { deadline }]) => ({ socket, deadline }));
    for (const { socket } of all) this.#forget(socket);
    return all;
  }

  #forget(socket: Socket): void {
    clearTimeout(this.#waiting.get(socket)?.timer);
    this.#waiting.delete(socket);
  }
}
