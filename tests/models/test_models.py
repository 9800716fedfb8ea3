"""Each public model, small, through the whole program; writes the table of docs/models.md (``make test-models``)."""

from pathlib import Path

import pytest

from models.cases import CASES
from models.page import write_page
from models.proof import Proof
from models.public_models import PublicModel
from models.results import record


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", CASES, ids=lambda model: model.name)
def test_a_public_model_goes_through_the_whole_program(model: PublicModel, tmp_path: Path) -> None:
    """M16, U01, U02, U34. Of one that is known not to, as far and with the same words as before."""
    found = Proof(model, tmp_path).run()
    record(model.name, found)
    write_page()
    stopped = found.get("stopped", "")
    assert stopped == model.stops if not model.stops else model.stops in stopped
