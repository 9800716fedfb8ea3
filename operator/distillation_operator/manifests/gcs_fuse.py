"""What the mount of a bucket is told.

GCS FUSE chooses defaults by the type of the VM: on large TPU VMs it remembers for ever what another pod replaces, and
elsewhere it doesn't see a folder without an object of its own. So all that differs there is stated, and one manifest
behaves the same on all nodes. The names are those of gcsfuse's cfg/params.yaml, in the form that the CSI driver takes:
a flag, or a place in gcsfuse's configuration file with colons.
"""

_SAME_ON_ALL_MACHINES = (
    "implicit-dirs",
    # Nothing of ours renames a directory (see committed_saves). Where a library does, it is slow rather than refused.
    "rename-dir-limit=200000",
    # Seconds for which this pod may see the old of what other hosts, shards and jobs of the prefix write: less than the
    # time between two beats of a claim (distillation_stages.runtime.claim), whose holder must see that it is taken.
    "metadata-cache:ttl-secs:10",
    # That something isn't there is asked again at once: a marker, a claim, another host's folder.
    "metadata-cache:negative-ttl-secs:0",
    # MiB, of 1.7 KB for an object: some 75,000 of them.
    "metadata-cache:stat-cache-max-size-mb:128",
    "metadata-cache:type-cache-max-size-mb:16",
    # Of 32 MiB in the sidecar's memory, one for each file that is being written; more files wait on its disk.
    "write:global-max-blocks:64",
)


def mount_options(user: int, group: int, *more: str) -> str:
    """The volume attribute ``mountOptions``; files are that user's and group's. ``more``: options of some pods."""
    return ",".join([*_SAME_ON_ALL_MACHINES, f"uid={user}", f"gid={group}", *more])
