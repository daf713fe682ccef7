import { closeSync, fstatSync, lstatSync, readdirSync, readFileSync, watch, type FSWatcher } from 'node:fs';
import type { FileChange } from '../../protocol/runner-api.ts';
import { child, openDirectory, type Locate } from './locate.ts';

/** Watched directories of one watch. The kernel's own limit is per user and shared with dev servers. */
const maxDirectories = 8192;

export interface FileWatch {
  close(): void;
}

interface WatchedDirectory {
  watcher: FSWatcher;
  /** Of which directory it is, whatever has its name by now. */
  ino: number;
  dev: number;
}

/**
 * Reports changes below a directory by inotify. `created` means a name appeared or was replaced, `removed` that it
 * is gone, `modified` that content or attributes changed. Symlinks are not followed. `overflow` means changes
 * may have been missed (too many at once, or too many directories): look again for yourself.
 * Throws errno errors when `path` cannot be watched.
 */
export function watchFiles(
  locate: Locate,
  path: string,
  options: { recursive: boolean },
  onChange: (change: FileChange) => void,
): FileWatch {
  const watchers = new Map<string, WatchedDirectory>();
  let closed = false;
  let full = false;

  const burst = createBurstDetector(() => onChange({ type: 'overflow', path }));

  function overflow(): void {
    if (full) return;
    full = true;
    onChange({ type: 'overflow', path });
  }

  function onEvent(directory: string, kind: string, name: string | null): void {
    if (closed) return;
    burst.count();
    if (name === null) return;
    if (name === '.') {
      // The watched directory itself. A subdirectory's end is told by its parent's watch.
      if (directory === path && lstat(path) === null) onChange({ type: 'removed', path });
      return;
    }
    const changed = `${directory}/${name}`;
    const stat = lstat(changed);
    if (stat === null) {
      forget(changed);
      onChange({ type: 'removed', path: changed });
    } else if (kind === 'change') {
      onChange({ type: 'modified', path: changed });
    } else {
      onChange({ type: 'created', path: changed });
      if (options.recursive && stat.isDirectory()) {
        const known = watchers.get(changed);
        // Found by a look before its event came. What it has told since is not read yet, and would be lost with its watch.
        if (known !== undefined && known.ino === stat.ino && known.dev === stat.dev) return;
        // It may have replaced another of that name.
        forget(changed);
        add(changed, true);
      }
    }
  }

  function lstat(changed: string) {
    try {
      using located = locate(changed);
      return lstatSync(located.target, { throwIfNoEntry: false }) ?? null;
    } catch {
      return null;
    }
  }

  function forget(prefix: string): void {
    for (const [directory, { watcher }] of watchers) {
      if (directory !== prefix && !directory.startsWith(`${prefix}/`)) continue;
      watcher.close();
      watchers.delete(directory);
    }
  }

  /** Watches a directory found later; what vanishes meanwhile needs no watch. `announce`: its entries are news. */
  function add(directory: string, announce: boolean): void {
    try {
      open(directory, announce);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOSPC' || code === 'EMFILE') overflow();
    }
  }

  function open(directory: string, announce: boolean): void {
    if (watchers.size >= maxDirectories) {
      overflow();
      return;
    }
    using located = locate(directory, { followLast: directory === path });
    const fd = openDirectory(located.target);
    try {
      // By descriptor: inotify then watches this very directory, wherever its path leads.
      const watcher = watch(child(fd, '.'), { persistent: false }, (kind, name) => onEvent(directory, kind, name));
      watcher.on('error', () => forget(directory));
      const { ino, dev } = fstatSync(fd);
      watchers.set(directory, { watcher, ino, dev });
      // After the watch began, so that nothing falls between.
      if (!options.recursive && !announce) return;
      for (const entry of readdirSync(child(fd, '.'), { withFileTypes: true })) {
        if (announce) onChange({ type: 'created', path: `${directory}/${entry.name}` });
        if (options.recursive && entry.isDirectory()) add(`${directory}/${entry.name}`, announce);
      }
    } finally {
      closeSync(fd);
    }
  }

  open(path, false);
  return {
    close() {
      closed = true;
      forget(path);
    },
  };
}

/**
 * libuv drops the kernel's own overflow message (uv__inotify_read ignores watch -1), so it is inferred: it reads the
 * queue empty in one turn of the event loop, and a turn with as many events as the queue holds has overflowed.
 */
function createBurstDetector(onBurst: () => void): { count(): void } {
  const limit = readQueueLimit();
  let events = 0;
  return {
    count() {
      if (events++ === 0) {
        setImmediate(() => {
          if (events >= limit) onBurst();
          events = 0;
        });
      }
    },
  };
}

function readQueueLimit(): number {
  try {
    return Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8'));
  } catch {
    // The kernel's default.
    return 16_384;
  }
}
