#!/bin/sh
# The first program of a guest, and with the kernel its only one as root. It works in two steps. At boot it starts the runner as
# an ordinary user, in a root that is only a frame; a guest is then as good as any other of its kind, and the host may keep
# its memory and wake many from it. `begin` makes it one sandbox: with fresh randomness, on its own disk.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
# A machine without a serial line for it has nobody to read it.
(: >/dev/console) 2>/dev/null || ln -sf null /dev/console
while read -r module; do insmod "/modules/$module"; done </modules/order

setting() { # name: its value on the kernel's command line
  for word in $(cat /proc/cmdline); do
    case $word in "$1="*) echo "${word#*=}" ;; esac
  done
}

names=
if [ -n "$(setting berth.card)" ]; then
  while read -r module; do insmod "/modules/$module"; done </modules/card
  # The runner, which is nobody special, answers names there.
  echo 53 >/proc/sys/net/ipv4/ip_unprivileged_port_start
  names=BERTH_RUNNER_NAMES_PORT=53
fi

# Where the machine cannot be turned off, it ends when it is started again.
turn_off() {
  case $(setting berth.off) in reboot) reboot -f ;; *) poweroff -f ;; esac
}

fail() {
  echo "init: $*" >/dev/console
  turn_off
}

# The disks are told apart by the label in an ext4 superblock: their order is the machine's affair.
device() { # label
  for path in /sys/block/vd*; do
    name=/dev/${path##*/}
    label=$(dd if="$name" bs=8 skip=143 count=2 2>/dev/null | tr -d '\000')
    [ "$label" != "$1" ] || { echo "$name"; return; }
  done
}

root_disk=$(device berth-root) runner_disk=$(device berth-runner) own_disk=$(device berth-disk) agents_disk=$(device berth-agents)
[ -n "$root_disk" ] && [ -n "$runner_disk" ] && [ -n "$own_disk" ] || fail "a disk is missing"

# The frame.
frame=/frame
mount -t tmpfs -o nosuid,mode=755,size=16m frame $frame
mkdir $frame/etc $frame/lower $frame/disk $frame/new $frame/proc $frame/sys $frame/dev $frame/run $frame/berth
echo 'user:x:1000:1000::/:' >$frame/etc/passwd
echo 'user:x:1000:' >$frame/etc/group
mount -t ext4 -o ro "$root_disk" $frame/lower || fail "no root"
mount -t tmpfs -o nosuid,mode=755,size=4m berth $frame/berth
mkdir $frame/berth/init $frame/berth/runner $frame/berth/agents $frame/berth/objects $frame/berth/run
cp /bin/busybox $frame/berth/init/busybox
for applet in sh ls mount umount mkdir mknod rm rmdir chown pivot_root; do ln -s busybox "$frame/berth/init/$applet"; done
cp /begin /agent $frame/berth/init/
mount -t tmpfs -o nosuid,nodev,noexec,mode=700,uid=1000,gid=1000,size=4m run $frame/berth/run
mount -t tmpfs -o nosuid,nodev,mode=755,size=64k agents $frame/berth/agents
mount -t ext4 -o ro,nosuid,nodev "$runner_disk" $frame/berth/runner || fail "no runner"

sealed=nosuid,noexec,nodev
mount -t sysfs -o $sealed,ro sysfs $frame/sys
mount -t tmpfs -o nosuid,mode=755,size=64k dev $frame/dev
mkdir $frame/dev/pts $frame/dev/shm $frame/dev/mqueue
for node in null:3 zero:5 full:7 random:8 urandom:9; do
  mknod -m 666 "$frame/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 $frame/dev/tty c 5 0
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5 devpts $frame/dev/pts
ln -s pts/ptmx $frame/dev/ptmx
ln -s /proc/self/fd $frame/dev/fd
for name in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${name%:*}" "$frame/dev/${name#*:}"; done
mount -t tmpfs -o $sealed,mode=1777,size=256m shm $frame/dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755,size=64m run $frame/run
ip link set lo up

# Below the machine's memory, so that what outgrows it is ended in the sandbox and the machine goes on.
mount -t cgroup2 cgroup /cgroup
echo '+pids +memory' >/cgroup/cgroup.subtree_control
mkdir /cgroup/sandbox
echo "$(setting berth.memory)" >/cgroup/sandbox/memory.max
mount --bind /cgroup/sandbox $frame/sys/fs/cgroup
mount -o remount,ro,bind $frame/sys/fs/cgroup

port() { # name
  for path in /sys/class/virtio-ports/*; do
    [ "$(cat "$path/name" 2>/dev/null)" != "$1" ] || { echo "/dev/${path##*/}"; return; }
  done
}

# The runner reads and writes pipes: it must never be held up in a read of a device. It takes their names away.
link=$(port berth.link)
mknod -m 600 $frame/berth/run/in p
mknod -m 600 $frame/berth/run/out p
chown 1000:1000 $frame/berth/run/in $frame/berth/run/out
exec 3<>$frame/berth/run/in 4<>$frame/berth/run/out
if [ -n "$link" ]; then
  exec 5<>"$link"
  # A read ends, with nothing, whenever the host is not connected; a write waits for it. So a byte is written that the host passes
  # over: a guest that waits must cost its host nothing. What the host says next is read after it, and so answered after it.
  (while :; do cat <&5 >&3; echo >&5; done) &
  (while :; do cat <&4 >&5; done) &
  exec 5>&-
else
  serve-link /relay /proc/self/fd/3 /proc/self/fd/4 &
fi
exec 3>&- 4>&-

cat >/enter <<ENTER
mount -t proc -o nosuid,noexec,nodev proc $frame/proc
echo 500 >/proc/self/oom_score_adj
ulimit -n 65536
ulimit -c 0
umask 022
cd $frame
mount --move . /
busybox=/berth/init/busybox
exec env -i PATH=/home/user/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  HOME=/home/user USER=user LOGNAME=user LANG=C.UTF-8 \
  BERTH_RUNNER_SOCKET=/berth/run/runner.sock BERTH_RUNNER_STATE_DIR=/var/lib/berth BERTH_RUNNER_LINK=/berth/run $names \
  chroot . \$busybox setpriv --nnp \$busybox start-stop-daemon -S -c 1000:1000 -x /berth/init/start
ENTER
{
  echo '#!/berth/init/busybox sh'
  echo "exec /berth/runner/bin/tini -- /berth/runner/bin/runner $(setting berth.node | tr , ' ') /berth/runner/main.mjs"
} >$frame/berth/init/start
chmod 755 $frame/berth/init/start $frame/berth/init/begin
mount -o remount,ro,nosuid $frame/berth
for disk in own:$own_disk agents:$agents_disk; do
  [ -z "${disk#*:}" ] || cp -a "${disk#*:}" "$frame/${disk%%:*}"
done

# A sandbox whose runner has ended has ended.
(
  sh -c 'echo $$ >/cgroup/sandbox/cgroup.procs; exec unshare -m -p -i -u -f sh /enter' </dev/console >/dev/console 2>&1
  sync
  turn_off
) &

# The sandbox's own init: what leads into its namespaces.
inside=
find_inside() {
  [ -z "$inside" ] || return 0
  while read -r pid; do
    read -r name <"/proc/$pid/comm" && [ "$name" = tini ] && inside=$pid && return 0
  done </cgroup/sandbox/cgroup.procs
  return 1
}

answer() { echo "$1 ok $2" >&9; }
refuse() { echo "$1 failed" >&9; }

perform() { # id verb arguments
  case $2 in
    ping) answer "$1" ;;
    # Of a guest that was woken: the time of day, and randomness that no other guest has.
    woken) woken "$3" "$4" && answer "$1" || refuse "$1" ;;
    begin) begin "$3" "$4" && answer "$1" || refuse "$1" ;;
    network) network "$3" $4 && answer "$1" || refuse "$1" ;;
    freeze) fsfreeze --freeze /disk && answer "$1" || refuse "$1" ;;
    thaw) fsfreeze --unfreeze /disk; answer "$1" ;;
    sync) sync; answer "$1" ;;
    agents) agents && answer "$1" || refuse "$1" ;;
    stats)
      read -r pids </cgroup/sandbox/pids.current
      read -r memory </cgroup/sandbox/memory.current
      answer "$1" "$pids $memory"
      ;;
    pids) echo "$3" >/cgroup/sandbox/pids.max && answer "$1" || refuse "$1" ;;
    stop)
      answer "$1"
      (usleep "$3"; echo 1 >/cgroup/sandbox/cgroup.kill) &
      find_inside && kill -TERM "$inside"
      ;;
    *) refuse "$1" ;;
  esac
}

woken() { # seconds, randomness
  date -u -s "@$1" >/dev/null
  echo "$2" >/dev/urandom && reseed
}

begin() { # host name, pids
  echo "$2" >/cgroup/sandbox/pids.max
  find_inside || return 1
  # What was read of the disk at boot is of another one.
  blockdev --flushbufs "$own_disk"
  mount -t ext4 -o nosuid,nodev,noatime "$own_disk" /disk || return 1
  nsenter -t "$inside" -u hostname "$1"
  nsenter -t "$inside" -m /berth/init/begin
}

# Gives the card its address, and the next hop of it; the same again for IPv6, where the host has that.
network() {
  [ -n "$2" ] || return 1
  echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra
  echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
  ip address add "$1" peer "$2" dev eth0 || return 1
  [ -z "$3" ] || ip -6 address add "$3/128" dev eth0 || return 1
  ip link set eth0 up || return 1
  ip route add default via "$2" dev eth0 || return 1
  [ -z "$4" ] || ip -6 route add default via "$4" dev eth0
}

# Shows the layers of agents that the table at the disk's beginning names and that are not shown yet; see agents-image.ts.
agents() {
  find_inside || return 1
  blockdev --flushbufs "$agents_disk"
  dd if="$agents_disk" bs=4096 skip=1 count=4 2>/dev/null | tr '\000' '\n' >/table
  while read -r name offset size; do
    [ -n "$size" ] && [ ! -e "/shown/$name" ] || continue
    loop=$(losetup -f)
    losetup -r -o "$offset" "$loop" "$agents_disk" || return 1
    nsenter -t "$inside" -m /berth/init/busybox sh /berth/init/agent "$name" "${loop#/dev/loop}" || return 1
    : >"/shown/$name"
  done </table
}

control=$(port berth.control)
if [ -n "$control" ]; then
  exec 9<>"$control" 7<&9
else
  mknod -m 600 /control-in p
  mknod -m 600 /control-out p
  exec 7<>/control-in 9<>/control-out
  serve-control /relay /control-in /control-out &
fi
while :; do
  # Nothing comes while the host is not connected; see the link's.
  read -r id verb one two <&7 || { echo >&9; continue; }
  [ -z "$verb" ] || perform "$id" "$verb" "$one" "$two"
done
