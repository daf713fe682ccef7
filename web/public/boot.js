// Runs before the first paint, so that a dark page does not flash white.
(() => {
  // The page's content policy forbids making code from text, which zod would otherwise try.
  globalThis.__zod_globalConfig = { jitless: true };
  let chosen = null;
  try {
    chosen = localStorage.getItem('berth.theme');
  } catch {
    // Storage may be forbidden; the system's own theme serves.
  }
  const dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
