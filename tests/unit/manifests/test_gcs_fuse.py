"""How a bucket is mounted: the same on every machine."""

from distillation_operator.manifests.gcs_fuse import mount_options
from distillation_stages.runtime.claim import SECONDS_BETWEEN_BEATS

BY_MACHINE = {
    "implicit-dirs": "implicit-dirs",
    "file-system:rename-dir-limit": "rename-dir-limit",
    "metadata-cache:ttl-secs": "metadata-cache-ttl-secs",
    "metadata-cache:negative-ttl-secs": "metadata-cache-negative-ttl-secs",
    "metadata-cache:stat-cache-max-size-mb": "stat-cache-max-size-mb",
    "metadata-cache:type-cache-max-size-mb": "type-cache-max-size-mb",
    "write:global-max-blocks": "write-global-max-blocks",
}
"""What GCS FUSE sets by machine type (cfg/params.yaml of gcsfuse 0095346): its place in the configuration, its flag."""


def stated() -> dict[str, str]:
    """The options as the CSI driver reads them: with a colon they go into the configuration, else they are flags."""
    read = {}
    for option in mount_options(65532, 65532).split(","):
        name, _, value = option.rpartition(":") if ":" in option else option.partition("=")
        read[name] = value
    return read


def test_nothing_is_left_to_what_gcs_fuse_thinks_of_the_machine() -> None:
    missing = {place for place, flag in BY_MACHINE.items() if place not in stated() and flag not in stated()}
    assert missing == set()


def test_files_are_the_users_of_the_container() -> None:
    assert (stated()["uid"], stated()["gid"]) == ("65532", "65532")


def test_what_another_pod_writes_is_seen_within_a_minute_and_before_the_next_beat_of_a_claim() -> None:
    """-1 would be for ever."""
    assert 0 <= int(stated()["metadata-cache:ttl-secs"]) < min(60, SECONDS_BETWEEN_BEATS)
    assert stated()["metadata-cache:negative-ttl-secs"] == "0"


def test_caches_and_blocks_are_bounded() -> None:
    sizes = (
        "metadata-cache:stat-cache-max-size-mb",
        "metadata-cache:type-cache-max-size-mb",
        "write:global-max-blocks",
    )
    assert all(int(stated()[name]) > 0 for name in sizes)
