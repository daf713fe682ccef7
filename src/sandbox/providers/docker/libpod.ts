import type Docker from 'dockerode';
import { engineCall } from './engine.ts';

export interface LibpodCall {
  method: 'GET' | 'POST';
  /** From `/libpod/` on. */
  path: string;
  query?: Readonly<Record<string, string>>;
  body?: object;
}

/** A call of Podman's own API, for what it has there alone. */
export function callLibpod({ modem }: Docker, { method, path, query = {}, body = {} }: LibpodCall): Promise<unknown> {
  const call = {
    // The oldest that has all that is called.
    path: `/v4.3.0/libpod/${path}?`,
    method,
    options: { _query: query, _body: body },
    statusCodes: { 200: true, 201: true, 204: true, 304: 'that is so already', 404: 'not there', 409: 'not now', 500: 'failed' },
  };
  return engineCall(
    () =>
      new Promise<unknown>((resolve, reject) => {
        modem.dial(call, (error, answer) => (error === null ? resolve(answer) : reject(error)));
      }),
  );
}
