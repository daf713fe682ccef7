import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';
import { processInfo, type ProcessInfo } from '../../protocol/runner-api.ts';
import type { ProcessInput } from '../../protocol/api.ts';
import { attachToSocket, type AttachedProcess } from '../attached-process.ts';
import type { Transport } from '../transport.ts';
import { openWebSocket } from '../web-socket.ts';
import type { CallOptions } from './files.ts';

export interface AttachOptions extends CallOptions {
  /** Replay output from this byte of the kept tail; default 0. */
  from?: number;
}

/** A session's processes. They outlive every connection to them. */
export interface ProcessesResource {
  start(sessionId: string, input: ProcessInput, options?: CallOptions): Promise<ProcessInfo>;
  list(sessionId: string, options?: CallOptions): Promise<ProcessInfo[]>;
  /** To the process's whole group, e.g. `SIGINT`. */
  signal(sessionId: string, processId: string, signal: string, options?: CallOptions): Promise<void>;
  /** Output so far and from now on, and a way to give input. Throws `not_found`. */
  attach(sessionId: string, processId: string, options?: AttachOptions): Promise<AttachedProcess>;
}

export function createProcessesResource(transport: Transport): ProcessesResource {
  const processes = (sessionId: string, suffix = ''): string =>
    `/api/sessions/${encodeURIComponent(sessionId)}/processes${suffix}`;
  const listed = z.object({ processes: z.array(processInfo) });

  const list: ProcessesResource['list'] = async (sessionId, options) =>
    (await transport.json(listed, 'GET', processes(sessionId), options)).processes;

  return {
    list,
    start: (sessionId, input, options) =>
      transport.json(processInfo, 'POST', processes(sessionId), { json: input, ...options }),
    signal: (sessionId, processId, signal, options) =>
      transport.empty('POST', processes(sessionId, `/${encodeURIComponent(processId)}/signal`), {
        json: { signal },
        ...options,
      }),
    async attach(sessionId, processId, { from, signal } = {}) {
      const socket = await openWebSocket(transport, processes(sessionId, `/${encodeURIComponent(processId)}/attach`), {
        query: { from },
        signal,
        explain: async () => {
          const known = await list(sessionId);
          if (known.some((process) => process.id === processId)) return;
          throw new BerthError('not_found', `no process ${processId} in ${sessionId}`);
        },
      });
      return attachToSocket(socket, signal);
    },
  };
}
