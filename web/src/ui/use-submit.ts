import { useState } from 'react';
import { BerthError } from '../../../src/sdk/index.ts';
import { messageOf } from '../api.ts';

export interface Submit {
  busy: boolean;
  /** What failed and belongs to none of the form's fields. */
  failure: unknown;
  /** What is wrong with a field, or with a part of it. */
  errorOf(field: string): string | null;
  run(action: () => Promise<void>): void;
}

/** What every form does when it is sent: once at a time, and what the server found wrong stands at its field. */
export function useSubmit(...fields: string[]): Submit {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const at = failure instanceof BerthError ? failure.field : undefined;
  const isAt = (field: string): boolean => at === field || at?.startsWith(`${field}.`) === true;
  return {
    busy,
    failure: fields.some(isAt) ? null : failure,
    errorOf: (field) => (isAt(field) ? messageOf(failure) : null),
    run(action) {
      setBusy(true);
      setFailure(null);
      action()
        .catch(setFailure)
        .finally(() => setBusy(false));
    },
  };
}
