import { Check } from 'lucide-react';
import { DropdownMenu } from 'radix-ui';
import type { ReactNode } from 'react';
import { classNames } from './class-names.ts';

const itemClass =
  'flex h-8 items-center gap-2.5 rounded-md px-2.5 text-[0.9rem] outline-none select-none data-[highlighted]:bg-hover data-[disabled]:opacity-45 [&_svg]:size-4 [&_svg]:shrink-0';

export function Menu({
  trigger,
  children,
  align = 'end',
}: {
  trigger: ReactNode;
  children: ReactNode;
  align?: 'start' | 'end';
}) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          align={align}
          sideOffset={6}
          collisionPadding={8}
          className="animate-appear z-50 max-h-[60vh] max-w-80 min-w-48 overflow-y-auto rounded-xl border border-line bg-surface p-1 shadow-xl"
        >
          {children}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

export function MenuItem({
  onSelect,
  danger,
  disabled,
  children,
}: {
  onSelect: () => void;
  danger?: boolean;
  disabled?: boolean;
  children: ReactNode;
}) {
  return (
    <DropdownMenu.Item
      {...(disabled === undefined ? {} : { disabled })}
      onSelect={onSelect}
      className={classNames(itemClass, danger === true && 'text-bad')}
    >
      {children}
    </DropdownMenu.Item>
  );
}

export interface Choice {
  value: string;
  label: string;
  hint?: string;
}

/** One of several: the one in force is marked. */
export function MenuChoices({
  value,
  choices,
  onChange,
  label,
}: {
  value: string;
  choices: readonly Choice[];
  onChange: (value: string) => void;
  label: string;
}) {
  return (
    <DropdownMenu.RadioGroup value={value} onValueChange={onChange}>
      <DropdownMenu.Label className="px-2.5 pt-1.5 pb-1 text-xs font-medium text-muted">{label}</DropdownMenu.Label>
      {choices.map((choice) => (
        <DropdownMenu.RadioItem
          key={choice.value}
          value={choice.value}
          className={classNames(itemClass, 'h-auto py-1.5')}
        >
          <span className="flex w-4 justify-center">
            <DropdownMenu.ItemIndicator>
              <Check />
            </DropdownMenu.ItemIndicator>
          </span>
          <span className="min-w-0">
            <span className="block truncate">{choice.label}</span>
            {choice.hint !== undefined && <span className="block text-xs text-muted">{choice.hint}</span>}
          </span>
        </DropdownMenu.RadioItem>
      ))}
    </DropdownMenu.RadioGroup>
  );
}

export function MenuLine() {
  return <DropdownMenu.Separator className="my-1 h-px bg-line" />;
}
