#!/usr/bin/env bash
# Installs what Berth needs on a Debian or Ubuntu machine, and nothing that is there already.
#   scripts/setup.sh run    what `make up` needs
#   scripts/setup.sh test   the same, and what the tests need
# Needs root for missing Debian packages, and a Node (any since 18) with npm to fetch the pinned one.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-run}
case $mode in run | test) ;; *) echo "usage: scripts/setup.sh run|test" >&2; exit 2 ;; esac

say() { printf '  %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# command (or file) -> Debian package
need=(
  "runc:runc"
  "/usr/bin/tini-static:tini"
  "patchelf:patchelf"
  "mkfs.btrfs:btrfs-progs"
  "git:git"
  "mount:mount"
  "nsenter:util-linux"
  "setpriv:util-linux"
  "losetup:mount"
  "flock:util-linux"
  "ip:iproute2"
  "/etc/ssl/certs/ca-certificates.crt:ca-certificates"
)
[ "$mode" = run ] || need+=("pgrep:procps" "musl-gcc:musl-tools" "gcc:gcc" "/usr/include/dlfcn.h:libc6-dev" "/usr/lib/postgresql:postgresql" "redis-server:redis-server" "/usr/bin/chromium-headless-shell:chromium-headless-shell" "dockerd:docker.io" "qemu-system-x86_64:qemu-system-x86" "qemu-img:qemu-utils" "skopeo:skopeo" "umoci:umoci" "buildah:buildah" "/bin/busybox:busybox-static" "nft:nftables" "python3:python3" "setfacl:acl")

[ "${BERTH_TEST_TEMPLATES:-}" != suite ] || need+=("mmdebstrap:mmdebstrap")
case ",${BERTH_TEST_PROVIDERS:-}," in *,crun,*) need+=("crun:crun" "unshare:util-linux") ;; esac
case ",${BERTH_TEST_PROVIDERS:-}," in *,podman,* | *,rootless,*) need+=("podman:podman") ;; esac
case ",${BERTH_TEST_PROVIDERS:-}," in *,rootless,*) need+=("rootlesskit:rootlesskit" "newuidmap:uidmap" "unshare:util-linux") ;; esac

export PATH="$PATH:/usr/sbin:/sbin"
missing=()
for entry in "${need[@]}"; do
  what=${entry%%:*} package=${entry##*:}
  case $what in
    /*) [ -e "$what" ] || missing+=("$package") ;;
    *) command -v "$what" >/dev/null || missing+=("$package") ;;
  esac
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || fail "missing ${missing[*]}, and this is not Debian or Ubuntu: install them by hand"
  [ "$(id -u)" = 0 ] || fail "missing ${missing[*]}: run as root, or apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # The tests start their own PostgreSQL, Redis and Docker; without this the packages start theirs, now and at each boot.
  cluster_config=/etc/postgresql-common/createcluster.d/berth-tests.conf
  case " ${missing[*]} " in
    *" postgresql "*) install -d "${cluster_config%/*}"; echo 'create_main_cluster = false' >"$cluster_config" ;;
  esac
  policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] && policy= || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"; }
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
    { rm -f "$cluster_config" ${policy:+"$policy"}; tail -n 20 "$log" >&2; fail "apt-get could not install ${missing[*]}"; }
  rm -f "$cluster_config" ${policy:+"$policy"} "$log"
  case " ${missing[*]} " in *" redis-server "*) update-rc.d redis-server disable >/dev/null 2>&1 || true ;; esac
  case " ${missing[*]} " in *" docker.io "*) update-rc.d docker disable >/dev/null 2>&1 || true ;; esac
fi

command -v npm >/dev/null || fail "npm was not found: install Node (https://nodejs.org, or apt-get install nodejs npm)"
# The tests need more packages than the server; what was installed for them serves both.
same() { cmp -s package-lock.json "node_modules/.berth-$1"; }
if ! same test && { [ "$mode" = test ] || ! same run; }; then
  say "installing npm packages"
  omit=()
  [ "$mode" = test ] || omit=(--omit=dev)
  npm ci "${omit[@]}" --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json "node_modules/.berth-$mode"
fi
# npm may be told to run no install scripts, and it is such a script that fetches the pinned Node's platform package.
if ! node_modules/.bin/node --version >/dev/null 2>&1; then
  say "fetching the pinned Node"
  (cd node_modules/node && node installArchSpecificPackage.js >&2) || true
fi
if ! node_modules/.bin/node --version >/dev/null 2>&1; then
  found=$(find node_modules -path '*/bin/node' -type f -perm -u+x | head -n 1)
  [ -n "$found" ] || fail "the pinned Node is not in node_modules: check npm's settings for optional packages"
  mkdir -p node_modules/.bin
  ln -sf "$(pwd)/$found" node_modules/.bin/node
fi
# For hibernate: the distribution's CRIU is often too old for its kernel. Everything else works without.
say "$(node_modules/.bin/node --disable-warning=ExperimentalWarning scripts/fetch-criu.ts || true)"
# For the virtual machines of the tests; a server fetches it when it first needs it.
[ "$mode" = run ] || say "$(node_modules/.bin/node --disable-warning=ExperimentalWarning scripts/fetch-kernel.ts || true)"
case ",${BERTH_TEST_PROVIDERS:-}," in *,runsc,* | *,docker-runsc,*) say "$(node_modules/.bin/node --disable-warning=ExperimentalWarning scripts/fetch-runsc.ts)" ;; esac
# esbuild's own install script only checks; its binary is in the platform package.
say "Node $(node_modules/.bin/node --version) and packages are ready"
scripts/build-web.sh
