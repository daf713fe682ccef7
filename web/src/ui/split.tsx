import { useRef, useState, type ReactNode } from 'react';

const key = 'berth.split';
const min = 25;
const max = 75;
const clamp = (value: number): number => Math.min(max, Math.max(min, value));

/** Two panes with a border that can be dragged, or moved by arrow keys; on a narrow page the side covers the main one. */
export function Split({ open, main, side }: { open: boolean; main: ReactNode; side: ReactNode }) {
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
        <>
          <div
            role="separator"
            aria-orientation="vertical"
            aria-label="Width of the workspace"
            aria-valuenow={Math.round(percent)}
            aria-valuemin={min}
            aria-valuemax={max}
            tabIndex={0}
            className="relative w-px shrink-0 cursor-col-resize touch-none bg-line outline-none before:absolute before:inset-y-0 before:-left-1 before:w-2.5 hover:bg-accent focus-visible:bg-accent max-lg:hidden"
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
          <div
            className="min-w-0 bg-page max-lg:fixed max-lg:inset-0 max-lg:z-30 max-lg:!w-full"
            style={{ width: `${percent}%` }}
          >
            {side}
          </div>
        </>
      )}
    </div>
  );
}
