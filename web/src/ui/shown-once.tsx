import { Copy, X } from 'lucide-react';
import { Button, IconButton } from './button.tsx';
import { toast, toastFailure } from './toasts.tsx';

/** A secret that the server tells once: to be copied now, gone when it is put away. */
export function ShownOnce({ label, value, note, onClose }: { label: string; value: string; note: string; onClose: () => void }) {
  return (
    <section aria-label={label} className="rounded-xl border-2 border-good/50 bg-good-soft p-4">
      <div className="flex items-start gap-3">
        <div className="min-w-0 flex-1">
          <h3 className="font-semibold">{label}</h3>
          <p className="mt-0.5 text-sm">{note}</p>
        </div>
        <IconButton label="Put it away" onClick={onClose} className="text-text">
          <X />
        </IconButton>
      </div>
      <div className="mt-3 flex items-center gap-2">
        <code className="min-w-0 flex-1 rounded-lg bg-surface px-3 py-2 font-mono text-[0.85rem] break-all">{value}</code>
        <Button
          onClick={() => void navigator.clipboard.writeText(value).then(() => toast('Copied'), toastFailure('Not copied'))}
        >
          <Copy aria-hidden className="size-4" />
          Copy
        </Button>
      </div>
    </section>
  );
}
