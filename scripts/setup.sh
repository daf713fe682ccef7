#!/usr/bin/env bash
# Makes a fresh Debian or Ubuntu machine ready for Berth: system packages, npm packages, Node 24.
# Idempotent; does only what is missing and says each step.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The machine's own Node only has to run npm; Berth runs on the one that npm brings.
min_node=20
node_bin="node_modules/node/bin/node"
# Which lock file the installed packages belong to.
stamp="node_modules/.berth-lock"

install_packages() {
  # A program that Berth needs, and its package.
  local needed=(
    runc:runc tini-static:tini patchelf:patchelf mkfs.btrfs:btrfs-progs git:git ps:procps
    setpriv:util-linux losetup:util-linux mount:mount
  )
  local missing=() entry
  # A machine with another runtime keeps it.
  for entry in "${needed[@]}"; do
    if [[ "$entry" == runc:* ]] && has crun; then continue; fi
    has "${entry%%:*}" || missing+=("${entry#*:}")
  done
  [[ -s /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
  if ((${#missing[@]} == 0)); then return; fi
  command -v apt-get >/dev/null || fail "not installed: ${missing[*]}; there is no apt-get here, install them by hand"
  ((EUID == 0)) || fail "not installed: ${missing[*]}; run this as root"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # A machine's package lists may be too old, or absent in an image.
  apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
  }
}

has() { PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

check_node() {
  command -v node >/dev/null || fail "Node $min_node or newer is needed to run npm: https://nodejs.org"
  local major
  major="$(node -p 'process.versions.node.split(".")[0]')"
  ((major >= min_node)) || fail "Node $min_node or newer is needed, this is $(node --version)"
  command -v npm >/dev/null || fail "npm is not installed"
}

install_modules() {
  if [[ -f "$stamp" ]] && cmp -s package-lock.json "$stamp"; then return; fi
  # Installed by hand since the lock last changed: npm writes this file at the end of an installation.
  if [[ ! -f "$stamp" && node_modules/.package-lock.json -nt package-lock.json ]]; then
    cp package-lock.json "$stamp"
    return
  fi
  say "installing npm packages"
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
}

install_node() {
  if [[ -x "$node_bin" ]] && "$node_bin" --version >/dev/null 2>&1; then return; fi
  # Where install scripts are switched off, the package is there without its program.
  say "installing Node $(node -p 'require("./node_modules/node/package.json").version')"
  (cd node_modules/node && node installArchSpecificPackage.js >/dev/null)
  [[ -x "$node_bin" ]] || fail "$node_bin is missing; allow the install script of the npm package \"node\""
}

install_packages
check_node
install_modules
install_node
say "ready: $("$node_bin" --version)"
