import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';

const key = 'berth.theme';
const listeners = new Set<() => void>();
const system = window.matchMedia('(prefers-color-scheme: dark)');
system.addEventListener('change', apply);

function chosen(): Theme {
  const value = localStorage.getItem(key);
  return value === 'light' || value === 'dark' ? value : 'system';
}

export function isDark(): boolean {
  return document.documentElement.dataset['theme'] === 'dark';
}

function apply(): void {
  const theme = chosen();
  document.documentElement.dataset['theme'] =
    theme === 'dark' || (theme === 'system' && system.matches) ? 'dark' : 'light';
  for (const listener of listeners) listener();
}

export function setTheme(theme: Theme): void {
  localStorage.setItem(key, theme);
  apply();
}

const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, chosen);
}

export function useDark(): boolean {
  return useSyncExternalStore(subscribe, isDark);
}
