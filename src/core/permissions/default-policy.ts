import type { PermissionPolicy } from '../../protocol/permission-policy.ts';

/**
 * What holds where nobody says otherwise: what leaves the sandbox is asked, what stays inside is allowed. It rests on
 * what an agent says of itself; what it cannot talk its way past are the sandbox, the egress policy and the gateway.
 */
export const defaultPermissionPolicy: PermissionPolicy = {
  rules: [
    {
      name: 'default.network',
      answer: 'ask',
      kinds: ['execute'],
      commands: [
        ...['curl', 'wget', 'http', 'https', 'xh', 'ssh', 'scp', 'sftp', 'rsync', 'nc', 'ncat', 'netcat', 'socat', 'telnet', 'ftp', 'lftp', 'rclone'],
        ...['gh', 'glab', 'hub', 'docker', 'podman', 'buildah', 'skopeo', 'kubectl', 'helm', 'terraform', 'tofu', 'pulumi', 'ansible*'],
        ...['aws', 'gcloud', 'gsutil', 'az', 'vercel', 'netlify', 'fly', 'flyctl', 'heroku', 'wrangler', 'firebase', 'twine', 'mail', 'sendmail'],
        ...['git push', 'git remote', 'git config', 'git send-email', 'git submodule', 'svn commit', 'hg push'],
        ...['npm publish', 'npm login', 'npm unpublish', 'npm token', 'pnpm publish', 'yarn publish', 'yarn npm publish', 'bun publish', 'deno publish'],
        ...['cargo publish', 'gem push', 'poetry publish', 'uv publish', 'mvn deploy', 'gradle publish', 'dotnet nuget push'],
      ],
    },
    { name: 'default.fetch', answer: 'ask', kinds: ['fetch'] },
    {
      // What an agent is told to ask about stands there.
      name: 'default.agent-settings',
      answer: 'ask',
      kinds: ['edit', 'delete', 'move', 'execute'],
      paths: ['~/.claude/**', '~/.claude.json', '~/.codex/**', '~/.gemini/**', '~/.config/opencode/**', '.claude/**', '.gemini/**', '.codex/**', 'opencode.json', '.mcp.json'],
    },
    { name: 'default.inside', answer: 'allow', kinds: ['read', 'search', 'edit', 'delete', 'move', 'think', 'execute'] },
  ],
};
