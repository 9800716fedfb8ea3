"""What the testbed refuses before it builds anything."""

import pytest

from testbed.cluster import check_machine
from testbed.errors import TestbedError


def test_a_cache_that_pods_could_not_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLATION_CACHE", "/tmp/cache")
    with pytest.raises(TestbedError, match=r"DISTILLATION_CACHE is /tmp/cache; choose a folder outside /tmp"):
        check_machine()
