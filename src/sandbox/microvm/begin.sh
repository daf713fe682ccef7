#!/berth/init/busybox sh
# Run in the frame that the sandbox's processes have for a root, it gives them the sandbox's own: template below, changes above.
set -e
export PATH=/berth/init
mount -t ext4 -o nosuid,nodev,noatime /own /disk
mount -t overlay -o nosuid,nodev,lowerdir=/lower,upperdir=/disk/upper,workdir=/disk/work overlay /new
if [ ! -e /disk/made ]; then
  # What the template has there belongs to the user too.
  [ -z "$(ls -A /lower/home/user 2>/dev/null)" ] || chown -R 1000:1000 /new/home/user
  : >/disk/made
fi
for directory in proc sys dev run berth; do mount --move "/$directory" "/new/$directory"; done
cd /new
mkdir run/frame
# Moves every process whose root is the frame.
export PATH=/new/berth/init
pivot_root . run/frame
export PATH=/berth/init
umount -l /run/frame
rmdir /run/frame
