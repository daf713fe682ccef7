import { useRef, useState, type ReactNode } from 'react';

const key = 'berth.split';
const min = 25;
const max = 75;
const clamp = (value: number): number => Math.min(max, Math.max(min, value));

/** Two panes with a border that can be dragged, or moved by arrow keys; on a narrow page the side covers the main one. */
export function Split({ open, main, side, label }: { open: boolean; main: ReactNode; side: ReactNode; label: string }) {
  const frame = useRef<HTMLDivElement>(null);
  const [percent, setPercent] = useState(() => clamp(Number(localStorage.getItem(key) ?? 45)));

  function move(next: number): void {
    const value = clamp(next);
    setPercent(value);
    localStorage.setItem(key, String(Math.round(value)));
  }

  return (
    <div ref={frame} className="flex min-w-0 flex-1">
      <div className="min-w-0 flex-1">{main}</div>
      {open && (
        <section
          aria-label={label}
          className="relative min-w-0 border-l border-line bg-page max-lg:fixed max-lg:inset-0 max-lg:z-30 max-lg:!w-full"
          style={{ width: `${percent}%` }}
        >
          <div
            role="separator"
            aria-orientation="vertical"
            aria-label={`Width of the ${label.toLowerCase()}`}
            aria-valuenow={Math.round(percent)}
            aria-valuemin={min}
            aria-valuemax={max}
            tabIndex={0}
            className="absolute inset-y-0 -left-1 z-10 w-2 cursor-col-resize touch-none outline-none hover:bg-accent/40 focus-visible:bg-accent max-lg:hidden"
            onKeyDown={(event) => {
              if (event.key === 'ArrowLeft') move(percent + 3);
              if (event.key === 'ArrowRight') move(percent - 3);
            }}
            onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
            onPointerMove={(event) => {
              const box = frame.current?.getBoundingClientRect();
              if (box === undefined || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
              move((100 * (box.right - event.clientX)) / box.width);
            }}
          />
          {side}
        </section>
      )}
    </div>
  );
}
