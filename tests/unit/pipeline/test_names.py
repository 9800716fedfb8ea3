"""Names of children: unique, valid, and short enough for every pod and host name that is made of them."""

import re

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from distillation_api.accelerators import ACCELERATORS
from distillation_api.spec import NAME_LIMIT
from distillation_operator.manifests.jobset import SLICE
from distillation_operator.pipeline.names import CHILD_NAME_LIMIT, child_name

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
POD_NAME_LIMIT = 63
MOST_SLICES = 64
MOST_SHARDS = 256
RANDOM_SUFFIX = "-xxxxx"

FIXED = (
    "fetch-teacher", "fetch-student", "prepare-dataset", "convert-student", "generate", "export", "evaluate", "publish",
)  # fmt: skip
_WORD = st.text("abtrain019-", min_size=1)
job_names = st.one_of(
    st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True),
    st.sampled_from(["a", "a-train", "a-train-b", "a-train-b-train", "train", "a" * NAME_LIMIT, "a-" + "b" * 38]),
)
stage_names = st.one_of(
    st.sampled_from(FIXED),
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,14}[a-z0-9])?", fullmatch=True).map(lambda name: f"train-{name}"),
    st.sampled_from(["train-export", "train-b-export", "train-train-export", "train-generate"]),
)
attempts = st.one_of(st.integers(0, 20), st.integers(0, 10_100))
keys = st.tuples(job_names, stage_names, attempts)
quick = settings(deadline=None, database=None)


@quick
@given(keys, keys)
@example(("m", "train-export", 0), ("m-train", "export", 0))
@example(("a-train-b", "train-export", 0), ("a-train-b-train", "export", 0))
@example(("a" * 40, "train-one", 1), ("a" * 40, "train-one", 11))
@example(("a" * 40, "train-" + "x" * 15 + "1", 0), ("a" * 40, "train-" + "x" * 15 + "2", 0))
def test_two_attempts_never_share_a_name(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assume(one != other)
    assert child_name(*one) != child_name(*other)


@quick
@given(keys)
@example(("a" + "-" * 38 + "b", "train-x", 0))
def test_a_name_is_a_dns_label_within_the_limit(key: tuple[str, str, int]) -> None:
    """Case 25."""
    name = child_name(*key)
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= CHILD_NAME_LIMIT


@quick
@given(keys)
def test_pods_and_hosts_of_the_largest_slice_fit_into_a_label(key: tuple[str, str, int]) -> None:
    """Case 11."""
    name = child_name(*key)
    most_hosts = max((family.max_chips or 0) // 4 for family in ACCELERATORS.values())
    of_jobset = f"{name}-{SLICE}-{MOST_SLICES - 1}-{most_hosts - 1}{RANDOM_SUFFIX}"
    of_indexed_job = f"{name}-{MOST_SHARDS - 1}{RANDOM_SUFFIX}"
    assert len(of_jobset) <= POD_NAME_LIMIT
    assert len(of_indexed_job) <= POD_NAME_LIMIT


@quick
@given(keys)
def test_a_name_is_always_the_same(key: tuple[str, str, int]) -> None:
    assert child_name(*key) == child_name(*key)


def test_an_ordinary_name_is_readable() -> None:
    assert child_name("llama", "train-teacher-data", 2) == "llama-train-teacher-data-2"


def test_a_long_name_keeps_its_beginning_and_its_attempt() -> None:
    name = child_name("deepseek2-16b-to-llama2-7b", "train-original-data", 7)
    assert name.startswith("deepseek2-16b-to-llama2-7b-")
    assert name.endswith("-7")
