import { constants } from 'node:os';
import { BerthError } from '../../protocol/errors.ts';
import type { Route } from '../router.ts';
import { sendJson, sendNoContent } from '../router.ts';
import type { UpgradeContext } from '../upgrade.ts';
import { isRecord, isSize, parseProcessSpec } from '../validate.ts';
import { attach } from './attachment.ts';
import { createProcessTable } from './table.ts';

/** Room for 4096 arguments and an environment. */
const maxSpecBytes = 8 * 1024 * 1024;

/** One per runner: the table of processes lives as long as it does. */
export const processes = createProcessTable();

export const processRoutes: Route[] = [
  {
    method: 'POST',
    pattern: '/processes',
    async handler({ res, readJson }) {
      const process = await processes.start(await parseProcessSpec(await readJson(maxSpecBytes)));
      sendJson(res, 201, process.info);
    },
  },
  {
    method: 'GET',
    pattern: '/processes',
    handler: ({ res }) =>
      sendJson(
        res,
        200,
        processes.list().map(({ info }) => info),
      ),
  },
  {
    method: 'GET',
    pattern: '/processes/:id',
    handler: ({ res, params }) => sendJson(res, 200, processes.get(params['id']!).info),
  },
  {
    method: 'POST',
    pattern: '/processes/:id/signal',
    async handler({ res, params, readJson }) {
      const process = processes.get(params['id']!);
      const body = await readJson();
      process.signal(signalName(isRecord(body) ? body['signal'] : undefined));
      sendNoContent(res);
    },
  },
  {
    method: 'POST',
    pattern: '/processes/:id/resize',
    async handler({ res, params, readJson }) {
      const process = processes.get(params['id']!);
      const size = await readJson();
      if (!isSize(size))
        throw new BerthError('invalid_request', 'cols and rows are integers from 1 to 1000', { field: 'cols' });
      process.resize(size);
      sendNoContent(res);
    },
  },
];

/**
 * `berth-output-from` in the answer is the offset of the first byte that will be sent: above what was asked for when
 * older output is no longer kept.
 */
export function attachProcess({ url, params, accept }: UpgradeContext): void {
  const process = processes.get(params['id']!);
  const from = Number(url.searchParams.get('from') ?? '0');
  if (!Number.isSafeInteger(from) || from < 0) {
    throw new BerthError('invalid_request', 'from is a byte offset', { field: 'from' });
  }
  const first = Math.min(Math.max(from, process.tail.start), process.tail.end);
  attach(process, accept({ 'berth-output-from': String(first) }), first);
}

function signalName(value: unknown): NodeJS.Signals {
  if (typeof value === 'string' && Object.hasOwn(constants.signals, value)) return value as NodeJS.Signals;
  throw new BerthError('invalid_request', 'not the name of a signal', { field: 'signal' });
}
