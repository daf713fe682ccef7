import { Eye } from 'lucide-react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';

/** In the place of the composer, for who may only look. */
export function OnlyLooking({ owner }: { owner: string }) {
  return (
    <div className="w-full px-4 pb-4 max-md:px-3 max-md:pb-3">
      <p className="mx-auto flex max-w-3xl items-center gap-2.5 rounded-2xl border border-line bg-surface px-4 py-3 text-sm text-muted">
        <Eye aria-hidden className="size-4 shrink-0" />
        You may look at this session. To work in it, ask {sanitizeLine(owner)}.
      </p>
    </div>
  );
}
