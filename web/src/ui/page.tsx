import { Link } from '@tanstack/react-router';
import { ArrowLeft } from 'lucide-react';
import { useEffect, type ReactNode } from 'react';

/** A page beside the list of sessions: a heading, what can be done, and the content. */
export function Page({
  title,
  about,
  actions,
  children,
}: {
  title: string;
  about?: string;
  actions?: ReactNode;
  children: ReactNode;
}) {
  useTitle(title);
  return (
    <main className="min-w-0 flex-1 overflow-y-auto">
      <div className="mx-auto max-w-5xl px-5 py-6 max-md:px-4">
        <header className="mb-5 flex flex-wrap items-center gap-3">
          <Link to="/" aria-label="Back to sessions" className="rounded-lg p-1 text-muted hover:bg-hover md:hidden">
            <ArrowLeft className="size-5" />
          </Link>
          <div className="min-w-0 flex-1">
            <h1 className="text-xl font-semibold">{title}</h1>
            {about !== undefined && <p className="mt-0.5 text-sm text-muted">{about}</p>}
          </div>
          {actions}
        </header>
        {children}
      </div>
    </main>
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Berth`;
  }, [title]);
}

export function Card({ title, children, className }: { title?: string; children: ReactNode; className?: string }) {
  return (
    <section className="rounded-xl border border-line bg-surface">
      {title !== undefined && <h2 className="border-b border-line px-4 py-2 text-sm font-semibold">{title}</h2>}
      <div className={className}>{children}</div>
    </section>
  );
}
