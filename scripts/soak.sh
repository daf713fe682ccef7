#!/usr/bin/env bash
# The long runs, alone on a quiet machine: some 15 minutes, and 15 more for `provider`. `scripts/soak.sh` runs all, `scripts/soak.sh kills` one of them.
#   hibernate   100 rounds of hibernate and wake with a live Claude Code, a counter, a terminal and a listening server
#   kills       50 kill -9 of the server and 20 of processes of a sandbox in the middle of pause, hibernate, wake, snapshot, fork
#   provider    30 kill -9 of the driver's process in each operation
#   queue       200 turns of 10 owners and three priorities on 5 slots
#   outages     two servers on one PostgreSQL and Redis; 10 times one of the four is killed or restarted
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
  echo "== $1"
  env "${@:3}" node_modules/.bin/node --disable-warning=ExperimentalWarning node_modules/vitest/vitest.mjs run \
    --project e2e --testTimeout 3600000 "$2"
}

soak() {
  case $1 in
    hibernate) run "$1" test/e2e/hibernate.e2e.test.ts BERTH_TEST_ROUNDS=100 ;;
    kills) run "$1" test/e2e/persistence-kill.e2e.test.ts BERTH_TEST_SERVER_KILLS=50 BERTH_TEST_PROCESS_KILLS=20 ;;
    provider) run "$1" src/sandbox/providers/oci/persistence.test.ts BERTH_TEST_ROUNDS=30 ;;
    queue) run "$1" test/e2e/fair-queue.e2e.test.ts BERTH_TEST_TURNS=200 ;;
    outages) run "$1" test/e2e/two-servers.e2e.test.ts BERTH_TEST_OUTAGES=10 ;;
    *) echo "usage: scripts/soak.sh [hibernate|kills|provider|queue|outages]" >&2; exit 2 ;;
  esac
}

if [ $# -gt 0 ]; then
  for part in "$@"; do soak "$part"; done
else
  for part in hibernate kills provider queue outages; do soak "$part"; done
fi
