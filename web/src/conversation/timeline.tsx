import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown } from 'lucide-react';
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { classNames } from '../ui/class-names.ts';
import type { Item, ItemKind } from './items.ts';
import { ItemView } from './item-view.tsx';

/** Heights before an item has been measured; near enough that little moves. */
const estimates: Record<ItemKind, number> = {
  prompt: 90,
  text: 80,
  thought: 26,
  image: 200,
  tool: 38,
  plan: 120,
  permission: 160,
  note: 22,
  snapshot: 28,
  end: 24,
};
/** This close to the end counts as being there. */
const endPx = 80;
/** As long as a wheel or a finger keeps a page moving. */
const touchMs = 1_500;

/** The conversation. Only what is in sight is drawn; the end stays in sight while it grows, unless the reader went up. */
export function Timeline({ items, sessionId, cwd }: { items: readonly Item[]; sessionId: string; cwd: string | null }) {
  const scroll = useRef<HTMLDivElement>(null);
  const [away, setAway] = useState(false);
  const asked = useMemo(
    () => items.findLast((item) => item.kind === 'permission' && item.answer === null)?.key,
    [items],
  );

  // Items come at the end and keep their keys. A function that stays the same keeps what was measured of all rows; a new
  // one at each word that streams in would have thousands of them placed again.
  const latest = useRef(items);
  // Rows are placed while this is drawn, so not in an effect.
  latest.current = items;
  const getItemKey = useCallback((index: number) => latest.current[index]?.key ?? index, []);

  const virtual = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroll.current,
    estimateSize: (index) => estimates[items[index]!.kind] + 12,
    getItemKey,
    overscan: 6,
    paddingStart: 16,
    paddingEnd: 24,
  });

  /** The reader is at the end, and wants to stay there; over when they go up. */
  const follows = useRef(true);
  const lastTop = useRef(0);
  /** When the reader last did something; measuring moves the page too, and means nothing. */
  const touchedAt = useRef(-Infinity);
  const touched = (): void => {
    touchedAt.current = performance.now();
  };
  // Keeping what is read in its place is for who reads further up; at the end, it would work against staying there.
  virtual.shouldAdjustScrollPositionOnItemSizeChange = (item, _delta, { scrollOffset }) =>
    !follows.current && item.start < (scrollOffset ?? 0);
  const totalPx = virtual.getTotalSize();
  useLayoutEffect(() => {
    const box = scroll.current;
    if (box === null) return;
    const stay = (): void => {
      if (follows.current) box.scrollTop = box.scrollHeight;
    };
    stay();
    // A narrower page makes every paragraph taller; and what was placed just now has its height only after the next layout.
    const observer = new ResizeObserver(stay);
    observer.observe(box);
    if (box.firstElementChild !== null) observer.observe(box.firstElementChild);
    return () => observer.disconnect();
  }, [totalPx]);

  return (
    <div className="relative min-h-0 flex-1">
      <div
        ref={scroll}
        tabIndex={0}
        role="log"
        aria-label="Conversation"
        aria-live="off"
        className="h-full overflow-y-auto overscroll-contain px-4 outline-none focus-visible:ring-2 focus-visible:ring-accent focus-visible:ring-inset"
        onWheel={touched}
        onTouchMove={touched}
        onPointerDown={touched}
        onPointerMove={(event) => event.buttons !== 0 && touched()}
        onKeyDown={(event) => {
          touched();
          if (event.target !== event.currentTarget || (event.key !== 'Home' && event.key !== 'End')) return;
          event.preventDefault();
          // By item, not by pixel: most of what lies between has never been measured.
          if (event.key === 'Home') virtual.scrollToIndex(0, { align: 'start' });
          else virtual.scrollToIndex(items.length - 1, { align: 'end' });
        }}
        onScroll={(event) => {
          const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
          const leftPx = scrollHeight - scrollTop - clientHeight;
          const byReader = performance.now() - touchedAt.current < touchMs;
          // The browser keeps what is in sight in its place when rows change their height; that is no wish of the reader.
          if (follows.current && !byReader) event.currentTarget.scrollTop = scrollHeight;
          else if (leftPx <= endPx) follows.current = true;
          else if (scrollTop < lastTop.current && byReader) follows.current = false;
          lastTop.current = scrollTop;
          setAway(leftPx > 4 * endPx);
        }}
      >
        <div className="relative mx-auto w-full max-w-3xl" style={{ height: totalPx }}>
          {virtual.getVirtualItems().map((row) => (
            <div
              key={row.key}
              data-index={row.index}
              ref={virtual.measureElement}
              className="absolute top-0 left-0 w-full pb-3"
              style={{ transform: `translateY(${row.start}px)` }}
            >
              <ItemView
                item={items[row.index]!}
                sessionId={sessionId}
                cwd={cwd}
                active={items[row.index]!.key === asked}
              />
            </div>
          ))}
        </div>
      </div>
      <button
        type="button"
        onClick={() => {
          follows.current = true;
          virtual.scrollToIndex(items.length - 1, { align: 'end' });
        }}
        className={classNames(
          'absolute bottom-3 left-1/2 inline-flex -translate-x-1/2 items-center gap-1.5 rounded-full border border-line bg-surface px-3 py-1.5 text-xs font-medium shadow-md',
          !away && 'invisible',
        )}
      >
        <ArrowDown aria-hidden className="size-3.5" />
        To the end
      </button>
    </div>
  );
}
