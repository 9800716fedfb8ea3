# Process 1 of a testbed's namespace (see namespace.py). Arguments: the file to touch when the namespace is
# ready, and the testbed's state file. It makes the mounts, then reaps orphans until it is killed, and everything in the
# namespace ends with it.
set -e

# What containerd, the kubelet and CNI write at fixed places outside the run folder disappears with the namespace.
# A private /run also gives each testbed its own /run/containerd, the place where ctr looks.
for folder in /run /var/log /var/lib/cni /var/lib/kubelet; do
  mkdir -p "$folder"
  mount -n -t tmpfs -o mode=755 tmpfs "$folder"
done
mount -n -t proc proc /proc
# The kubelet's mounts must be seen by containers started later.
mount -n --make-rshared /

ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
# Pods reach node ports on loopback addresses only with this.
echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet

trap '' HUP INT TERM
touch "$1"
# No state file: whoever started this was interrupted before writing it, or the run folder was deleted by hand.
while sleep 10; do
  [ -e "$2" ] || exit 0
done
