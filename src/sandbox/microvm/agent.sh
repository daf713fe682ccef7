#!/berth/init/busybox sh
# Run in the sandbox's namespace: shows one layer of an agent ($1), which is on a loop device ($2).
set -e
export PATH=/berth/init
mkdir -p "/berth/agents/$1"
mknod -m 600 "/dev/.agent" b 7 "$2"
mount -t ext4 -o ro,nosuid,nodev /dev/.agent "/berth/agents/$1" || failed=1
rm /dev/.agent
[ -z "$failed" ]
