import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { useEffect, useRef } from 'react';
import { frameType, type AttachedProcess } from '../../../src/sdk/index.ts';
import { client, messageOf } from '../api.ts';
import { useDark } from '../shell/theme.ts';

const retryMs = 1_500;

/** A terminal on a process's PTY. A lost connection is made again, from the byte where it broke. */
export function TerminalView({
  sessionId,
  processId,
  onExit,
}: {
  sessionId: string;
  processId: string;
  onExit: () => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const terminal = useRef<Terminal | null>(null);
  const dark = useDark();
  const exit = useRef(onExit);

  useEffect(() => {
    exit.current = onExit;
  });

  useEffect(() => {
    if (terminal.current !== null) terminal.current.options.theme = themeOf();
  }, [dark]);

  useEffect(() => {
    const stop = new AbortController();
    const shown = new Terminal({
      fontFamily: 'ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace',
      fontSize: 13,
      cursorBlink: true,
      scrollback: 10_000,
      screenReaderMode: true,
      theme: themeOf(),
      // What a program prints may not become a link that a click follows.
      linkHandler: { activate: () => undefined },
    });
    terminal.current = shown;
    const fit = new FitAddon();
    shown.loadAddon(fit);
    shown.open(box.current!);
    let attached: AttachedProcess | null = null;
    const resize = (): void => {
      fit.fit();
      attached?.resize({ cols: shown.cols, rows: shown.rows });
    };
    const observer = new ResizeObserver(() => resize());
    observer.observe(box.current!);
    shown.onData((data) => void attached?.write(data));
    shown.focus();

    async function follow(): Promise<void> {
      let from = 0;
      while (!stop.signal.aborted) {
        try {
          attached = await client.sessions.processes.attach(sessionId, processId, { from, signal: stop.signal });
          resize();
          for await (const frame of attached.output) {
            if (frame.type === frameType.stdout || frame.type === frameType.stderr) {
              from += frame.payload.length;
              // The terminal takes what it can draw; waiting for it holds up the process, not the page's memory.
              await new Promise<void>((drawn) => shown.write(frame.payload, drawn));
            }
          }
          shown.write('\r\n\u001b[2m[the process has ended]\u001b[0m');
          exit.current();
          return;
        } catch (error) {
          if (stop.signal.aborted) return;
          const code = (error as { code?: string }).code;
          if (code !== 'unavailable') {
            shown.write(`\r\n\u001b[31m${messageOf(error)}\u001b[0m`);
            return;
          }
          await new Promise((resolve) => setTimeout(resolve, retryMs));
        }
      }
    }
    void follow();
    return () => {
      stop.abort();
      observer.disconnect();
      terminal.current = null;
      shown.dispose();
    };
  }, [sessionId, processId]);

  return <div ref={box} data-testid="terminal" className="min-h-0 flex-1 bg-term px-2 pt-1" />;
}

function themeOf() {
  return {
    background: getComputedStyle(document.documentElement).getPropertyValue('--term').trim(),
    foreground: '#e4e4e2',
    cursor: '#e4e4e2',
    selectionBackground: '#4a5568',
  };
}
