"""What `make playground` prints for the shell."""

import shutil
import subprocess
from pathlib import Path

from demo.kubectl import shell_variables


def test_the_line_works_in_any_folder(tmp_path: Path) -> None:
    """Also where the checkout's path has a blank or a quote."""
    place, elsewhere = tmp_path / "my team's checkout", tmp_path / "elsewhere"
    (place / "bin").mkdir(parents=True)
    elsewhere.mkdir()
    program = place / "bin" / "kubectl"
    program.write_text("#!/bin/sh\necho the kubectl of the playground\n")
    program.chmod(0o755)
    shell = shutil.which("sh")
    assert shell is not None
    script = f'{shell_variables(place / "kubeconfig")}\nkubectl\necho "$KUBECONFIG"'
    done = subprocess.run([shell, "-c", script], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["the kubectl of the playground", str(place / "kubeconfig")]
