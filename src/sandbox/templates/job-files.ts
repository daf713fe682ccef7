import { appendFileSync, existsSync } from 'node:fs';
import { mkdir, open, readFile, readdir, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { TemplateJobs } from '../../core/ports/templates.ts';
import { isId } from '../../protocol/ids.ts';
import { templateJob, type TemplateJob, type TemplateJobEvent } from '../../protocol/templates-api.ts';
import { writeAtomic } from '../write-atomic.ts';

const kept = 50;
/** Of a job's log. What is said beyond it is not kept: a build may talk for ever. */
const maxLogBytes = 8 * 1024 ** 2;
const maxLine = 4000;

interface OpenLog {
  lines: number;
  bytes: number;
  full: boolean;
}

/** Jobs as `<id>.json` with `<id>.log` beside: a JSON document a line. */
export function createJobFiles(directory: string, now: () => Date): TemplateJobs {
  const logs = new Map<string, OpenLog>();
  const listeners = new Set<() => void>();
  const paths = (id: string) => ({ record: join(directory, `${id}.json`), log: join(directory, `${id}.log`) });
  const tell = () => {
    for (const listener of listeners) listener();
  };

  async function get(id: string): Promise<TemplateJob | null> {
    if (!isId('templateJob', id) || !existsSync(paths(id).record)) return null;
    return templateJob.parse(JSON.parse(await readFile(paths(id).record, 'utf8')));
  }

  async function ids(): Promise<string[]> {
    if (!existsSync(directory)) return [];
    const names = await readdir(directory);
    return names.filter((name) => name.endsWith('.json') && !name.startsWith('.')).map((name) => name.slice(0, -5)).toSorted().toReversed();
  }

  return {
    get,
    async list() {
      return (await Promise.all((await ids()).map(get))).filter((job) => job !== null);
    },
    async save(job) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeAtomic(paths(job.id).record, `${JSON.stringify(job)}\n`, 0o600);
      if (job.status !== 'running') logs.delete(job.id);
      for (const old of (await ids()).slice(kept)) for (const path of Object.values(paths(old))) await rm(path, { force: true });
      tell();
    },
    append(id, text) {
      const log = logs.get(id) ?? { lines: 0, bytes: 0, full: false };
      logs.set(id, log);
      if (log.full) return;
      log.full = log.bytes > maxLogBytes;
      const said = log.full ? '… the rest of the log is not kept' : text.slice(0, maxLine).toWellFormed();
      log.lines += 1;
      const line = `${JSON.stringify({ type: 'line', seq: log.lines, at: now().toISOString(), text: said })}\n`;
      log.bytes += line.length;
      appendFileSync(paths(id).log, line, { mode: 0o600 });
      tell();
    },
    async *follow(id, from, heartbeatMs, signal) {
      const { log } = paths(id);
      let file: FileHandle | null = null;
      let rest = '';
      let seq = 0;
      let news = false;
      let wake: () => void = () => {};
      const listener = () => {
        news = true;
        wake();
      };
      listeners.add(listener);
      signal.addEventListener('abort', listener);
      try {
        while (!signal.aborted) {
          news = false;
          // Before the log: a job that has ended says no more.
          const job = await get(id);
          if (job === null) return;
          if (file === null && existsSync(log)) file = await open(log, 'r');
          for (;;) {
            const { buffer, bytesRead }: { buffer: Buffer; bytesRead: number } = file === null ? { buffer: Buffer.alloc(0), bytesRead: 0 } : await file.read(Buffer.alloc(65_536), 0, 65_536, null);
            if (bytesRead === 0) break;
            // By line, so that no character is ever cut: JSON's newline is its only one.
            const pieces = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n');
            rest = pieces.pop() ?? '';
            for (const piece of pieces) {
              const event = JSON.parse(Buffer.from(piece, 'latin1').toString('utf8')) as TemplateJobEvent;
              seq = event.seq;
              if (seq > from) yield event;
            }
          }
          if (job.status !== 'running') {
            yield { type: 'ended', seq: seq + 1, job };
            return;
          }
          if (news) continue;
          const woken = await new Promise<boolean>((resolve) => {
            const timer = setTimeout(() => resolve(false), heartbeatMs);
            wake = () => {
              clearTimeout(timer);
              resolve(true);
            };
            if (news) wake();
          });
          if (!woken) yield null;
        }
      } finally {
        listeners.delete(listener);
        signal.removeEventListener('abort', listener);
        await file?.close();
      }
    },
  };
}
