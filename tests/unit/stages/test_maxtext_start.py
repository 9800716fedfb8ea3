"""What is changed about MaxText's start."""

import sys
from types import SimpleNamespace

import pytest

from distillation_stages.maxtext_start import heed_worker_count, lighten_imports


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (1, 1), (4, 1)])
def test_the_worker_count_reaches_the_pipeline_which_takes_one_at_most(asked: int, given: int) -> None:
    module = SimpleNamespace(preprocessing_pipeline=lambda **keywords: keywords["grain_worker_count"])
    heed_worker_count(module)
    assert module.preprocessing_pipeline(config=SimpleNamespace(grain_worker_count=asked)) == given


def test_the_uploader_is_replaced_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", ".tensorboard", ".uploader"):
        monkeypatch.delitem(sys.modules, f"cloud_accelerator_diagnostics{name}", raising=False)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    lighten_imports()
    assert sys.modules["cloud_accelerator_diagnostics"].tensorboard is not None
