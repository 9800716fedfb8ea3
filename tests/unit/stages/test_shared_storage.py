"""Pods of one job may have two users on one claim: root without any capability under a profile for older nodes, and the
stages' own. What one has made the other reads, and goes on with.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distillation_api.contract import StageResult
from unit.stages.pod_users import AS_STAGE_USER, STAGE_USER, open_folder

AS_ROOT_WITHOUT_CAPABILITIES = f"""
from distillation_stages.__main__ import main
import os
assert os.getuid() == 0 and os.getgid() == {STAGE_USER}
"""
WRITES = """
os.environ["STAGE_SPEC"] = "none"
main()
from distillation_api.contract import StageResult
from distillation_stages.runtime.storage import Storage, publish_bytes
storage = Storage(Path(os.environ["STORAGE_MOUNT"]))
for stage in ("made", "other"):
    result = StageResult(stage=stage, fingerprint=os.environ["WROTE"])
    storage.write_marker(f"job/{stage}/f1", result)
    publish_bytes(storage.at(f"job/{stage}/shards/0/{os.environ['WROTE']}"), b"rows")
    publish_bytes(storage.at(f"job/{stage}/shards/0/ledger"), os.environ["WROTE"].encode())
"""


def write(storage: Path, as_root: bool) -> None:
    """What a program of that user leaves in the storage, as its last word into the same files."""
    code = (AS_ROOT_WITHOUT_CAPABILITIES + "from pathlib import Path\n" if as_root else AS_STAGE_USER) + WRITES
    rights = ["--regid", str(STAGE_USER), "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"]
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        ["setpriv", *rights, *command] if as_root else command,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "STORAGE_MOUNT": str(storage),
            "TERMINATION_LOG": str(storage / "message"),
            "WROTE": "root" if as_root else "stage",
        },
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("root_first", [True, False])
def test_root_without_capabilities_and_the_stages_user_go_on_with_each_others_work(root_first: bool) -> None:
    with open_folder() as folder:
        storage = folder / "claim"
        storage.mkdir()
        # As the kubelet makes a volume of a pod with fsGroup.
        os.chown(storage, 0, STAGE_USER)
        storage.chmod(0o2775)
        for as_root in (root_first, not root_first):
            write(storage, as_root)
            last = "root" if as_root else "stage"
            assert (storage / "job" / "made" / "shards" / "0" / "ledger").read_text() == last
        marker = storage / "job" / "other" / "f1" / "_DONE.json"
        assert StageResult.model_validate_json(marker.read_text()).fingerprint == last
