"""The API server itself refuses what can't work, before anything runs, and says which field and what would be right."""

import pytest
from kubernetes.client import ApiException

from cluster.wrong_manifests import WRONG, Wrong, changed, put
from support.objects import Jobs, refusal


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_refused_with_the_field_named(default_jobs: Jobs, wrong: Wrong) -> None:
    """Cases 25 and 35."""
    with pytest.raises(ApiException) as refused:
        default_jobs.create(wrong.manifest(), dry_run=True)
    message = refusal(refused.value)
    assert refused.value.status in (400, 422)
    assert wrong.field in message
    assert wrong.message in message


@pytest.mark.parametrize("name", ["a" * 40, "a", "a-1"])
def test_good_names_are_accepted(default_jobs: Jobs, name: str) -> None:
    made = default_jobs.create(changed(put("metadata.name", name)), dry_run=True)
    assert made["metadata"]["name"] == name
