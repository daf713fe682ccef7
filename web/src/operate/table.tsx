import type { ReactNode } from 'react';

/** Rows of facts; on a narrow page it scrolls by itself. */
export function Table({ label, head, children }: { label: string; head: readonly string[]; children: ReactNode }) {
  return (
    <div
      // What only a screen reader reads is placed by the next positioned box: without this it would widen the page.
      className="relative overflow-x-auto rounded-xl border border-line bg-surface"
      tabIndex={0}
      role="group"
      aria-label={label}
    >
      <table className="w-full text-left text-[0.9rem] [&_td]:border-t [&_td]:border-line [&_td]:px-3.5 [&_td]:py-2.5 [&_td]:align-middle">
        <thead>
          <tr>
            {head.map((title, index) => (
              <th key={index} scope="col" className="px-3.5 py-2 text-xs font-medium whitespace-nowrap text-muted">
                {title === '' ? <span className="sr-only">Actions</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
