"""Which of MaxText's settings users may give, and with which values."""

import re
from pathlib import Path

import pytest

from cluster.wrong_manifests import changed, put
from distillation_api.maxtext.managed import FORBIDDEN_NAME_PATTERN, MANAGED, SETTING_NAME
from distillation_api.maxtext.rules import listed_rules, unlisted_rules
from distillation_api.maxtext.settings import (
    ALLOWED,
    Enumeration,
    SettingRefused,
    Value,
    typed_settings,
    unlisted_fault,
)
from distillation_api.schemas import maxtext_page
from distillation_operator.commands.validation import validate

PAGE = Path(__file__).resolve().parents[3] / "docs" / "maxtext-settings.md"
OFFLOAD = {"optimizer_memory_host_offload", "parameter_memory_host_offload"}
"""Booleans that speak of the host's memory, not of a host to talk to."""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("sa_block_q", "1024", 1024),
        ("adam_eps", "1e-8", 1e-8),
        ("capacity_factor", "-1", -1.0),
        ("megablox", "false", False),
        ("megablox", "true", True),
        ("remat_policy", "save_qkv_proj", "save_qkv_proj"),
    ],
)
def test_values_get_their_types(name: str, text: str, value: Value) -> None:
    typed = typed_settings({name: text})
    assert typed == {name: value}
    assert type(typed[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sa_block_q", "1e3"),
        ("sa_block_q", "127"),
        ("sa_block_q", "65537"),
        ("sa_block_q", " 512"),
        ("sa_block_q", "512\n"),
        ("adam_eps", "nan"),
        ("adam_eps", "inf"),
        ("adam_eps", "-0.1"),
        ("adam_eps", ".5"),
        ("megablox", "True"),
        ("megablox", "1"),
        ("remat_policy", "Full"),
        ("quantization", "${oc.env:HF_TOKEN}"),
    ],
)
def test_validate_and_the_program_refuse_the_same_values(name: str, text: str) -> None:
    with pytest.raises(SettingRefused) as refused:
        typed_settings({name: text})
    (message,) = validate(changed(put("spec.training.stages[0].maxText", {name: text})))
    assert message.startswith("spec.training.stages[0].maxText: ")
    assert message.endswith(str(refused.value).strip())


def test_every_allowed_setting_is_taken_at_apply() -> None:
    for start in (0, 1):
        settings = {name: _sample(name) for name in sorted(ALLOWED)[start::2]}
        assert validate(changed(put("spec.training.stages[0].maxText", settings))) == []
        assert typed_settings(settings).keys() == settings.keys()


def _sample(name: str) -> str:
    for text in ("1", "512", "true"):
        try:
            typed_settings({name: text})
        except SettingRefused:
            continue
        return text
    kind = ALLOWED[name].kind
    assert isinstance(kind, Enumeration)
    return kind.values[-1]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingRefused, match=r"must not set steps: it follows from steps.*adam_b1 must be a number"):
        typed_settings({"steps": "1", "adam_b1": "2"})


def test_no_setting_is_both_allowed_and_managed() -> None:
    assert not ALLOWED.keys() & MANAGED.keys()


def test_what_is_allowed_names_no_place_and_nothing_that_is_run() -> None:
    assert {name for name in ALLOWED if re.search(FORBIDDEN_NAME_PATTERN, name)} == OFFLOAD
    assert all(re.fullmatch(SETTING_NAME, name) for name in [*ALLOWED, *MANAGED])


@pytest.mark.parametrize("name", ["steps", "adam_b1", "Steps", "formatting_func_path", "jax_profiler_port", "hf_name"])
def test_what_no_installation_opens(name: str) -> None:
    assert unlisted_fault(name)


def test_what_an_installation_may_open() -> None:
    assert unlisted_fault("mtp_num_layers") is None
    assert validate(changed(put("spec.training.stages[0].maxTextUnlisted", {"mtp_num_layers": "2"}))) == []


@pytest.mark.parametrize("name", ["stepsize", "xsteps", "ici", "ici_data", "adam", "adam_b", "adam_b12", "mlpwi_", ""])
def test_names_that_are_like_those_of_the_tables_are_unknown(name: str) -> None:
    (message,) = validate(changed(put("spec.training.stages[0].maxText", {name: "1"})))
    assert f"must not set {name}; it may set remat_policy" in message


def test_each_rule_has_a_message_of_its_own() -> None:
    messages = [rule.message for rule in (*listed_rules(), *unlisted_rules())]
    assert len(set(messages)) == len(messages)


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text() == maxtext_page.page(), "docs/maxtext-settings.md is stale: run `make generate`"
