#!/usr/bin/env bash
# Builds web/ into dist/web, where the server finds it; does nothing when neither sources nor packages changed.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=dist/web/.built
now=$({ find web src/sdk src/protocol -type f ! -name '*.test.ts' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; sha256sum package-lock.json; } | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ]; then exit 0; fi
echo "  building the web application" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Whoever calls this may be a test; what is built is for people.
if ! NODE_ENV=production node_modules/.bin/node node_modules/vite/bin/vite.js build --config web/vite.config.ts --logLevel warn >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "build-web: the build failed" >&2
  exit 1
fi
printf '%s\n' "$now" >"$stamp"
