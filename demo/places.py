"""Where the demo runs: the testbed, or a cluster that the user names with KUBECONFIG."""

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo.inputs.__main__ import write_inputs
from demo.kubectl import Kubectl
from testbed.cluster import Testbed

NAMESPACE = "demo"
CLAIM = "distillation"
UPLOADER = "demo-inputs"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """A cluster with the demo's inputs in its storage."""

    kubectl: Kubectl
    kubeconfig: Path
    storage: Path | None
    """The folder behind the claim, where it is one of this machine."""


def testbed_place(testbed: Testbed, say: Say) -> Place:
    """The testbed, brought up, with a claim that holds the inputs."""
    testbed.up()
    storage = testbed.claim(NAMESPACE, CLAIM)
    say("inputs: models and conversations into the storage")
    write_inputs(storage)
    # As the claim itself: pods of any user put their data there.
    (storage / "datasets").chmod(0o777)
    return Place(Kubectl(testbed.kubectl, testbed.kubeconfig, NAMESPACE), testbed.kubeconfig, storage)


def users_place(kubeconfig: Path, say: Say, namespace: str = NAMESPACE) -> Place:
    """The user's cluster: it has JobSet, the namespace and in it the claim ``distillation``."""
    kubectl = Kubectl("kubectl", kubeconfig, namespace)
    if kubectl.get("persistentvolumeclaim", CLAIM) is None:
        raise SystemExit(
            f"demo: namespace {namespace} has no PersistentVolumeClaim {CLAIM}; make one (ReadWriteMany on more than "
            "one node, 5Gi), or unset KUBECONFIG to run on the testbed"
        )
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder))
        _upload(kubectl, Path(folder), say)
    return Place(kubectl, kubeconfig, None)


def _upload(kubectl: Kubectl, folder: Path, say: Say) -> None:
    say("inputs: copied into the claim through a pod")
    image = os.environ.get("FETCHER_IMAGE", "distillation-operator/fetcher:dev")
    kubectl("delete", "pod", UPLOADER, "--ignore-not-found")
    kubectl("apply", "-f", "-", stdin=_UPLOADER_POD.format(name=UPLOADER, image=image, claim=CLAIM))
    kubectl("wait", "--for=condition=Ready", f"pod/{UPLOADER}", "--timeout=110s")
    try:
        for child in sorted(folder.iterdir()):
            kubectl("cp", "--no-preserve", str(child), f"{UPLOADER}:/storage/{child.name}")
    finally:
        kubectl("delete", "pod", UPLOADER, "--wait=false")


_UPLOADER_POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: wait
    image: {image}
    command: [sleep, "600"]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: storage, mountPath: /storage}}]
  volumes: [{{name: storage, persistentVolumeClaim: {{claimName: {claim}}}}}]
"""


def kubeconfig_of_user() -> Path | None:
    """The cluster that the user has named, if any. Raises SystemExit with what is wrong."""
    named = os.environ.get("KUBECONFIG")
    if not named:
        return None
    if not Path(named).is_file():
        raise SystemExit(
            f"demo: KUBECONFIG is {named}, and there is no such file, as after `make down`: unset it for a cluster on "
            "this machine, or name the file of yours"
        )
    return Path(named)


def explain(error: subprocess.CalledProcessError) -> str:
    """A kubectl error in one line."""
    return f"kubectl {' '.join(map(str, error.cmd[:3]))}: {error.stderr or error.output}"
