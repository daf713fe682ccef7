/**
 * What agents write into a repository for themselves, as `.gitignore` patterns: kept out of the
 * commits that Berth makes. Only what is personal or grants permissions; a `.claude/settings.json` or
 * `AGENTS.md` that a project shares is its own affair.
 */
export const agentSettingsPatterns: readonly string[] = [
  '/.claude/settings.local.json',
  '/.claude/.credentials.json',
  '/.claude/projects/',
  '/.claude/todos/',
  '/.codex/',
  '/.gemini/tmp/',
  '/.gemini/settings.json',
  '/.gemini/oauth_creds.json',
  '/.opencode/node_modules/',
  '/.opencode/package.json',
  '/.opencode/bun.lock',
  '/.opencode/.gitignore',
];
