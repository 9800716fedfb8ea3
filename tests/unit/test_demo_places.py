"""Which cluster the demo runs on."""

from pathlib import Path

import pytest

from demo.places import kubeconfig_of_user


def test_a_kubeconfig_that_went_with_its_cluster_is_told_before_anything_is_asked_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    with pytest.raises(SystemExit, match=r"KUBECONFIG is .*gone, and there is no such file.*: unset it"):
        kubeconfig_of_user()


def test_the_users_cluster_is_the_one_of_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").touch()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert kubeconfig_of_user() == tmp_path / "config"
    monkeypatch.delenv("KUBECONFIG")
    assert kubeconfig_of_user() is None
