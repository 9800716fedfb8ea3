"""Settings that the tables don't have, compared with what MaxText itself declares."""

import enum
from typing import Annotated, Any, Literal, Optional

import pytest
from annotated_types import Ge

from distillation_api.maxtext.settings import SettingRefused, Value
from distillation_stages.maxtext.user_settings import unlisted_settings


class Shape(enum.StrEnum):
    ROUND = "round"
    FLAT = "flat"


FIELDS: dict[str, Any] = {
    "count": int,
    "bounded": Annotated[int, Ge(1)],
    "maybe": float | None,
    "either": int | float,
    "switch": bool,
    "shape": Shape,
    "word": Literal["a", "b"],
    "text": str,
    "maybe_text": Optional[str],  # noqa: UP045
    "words": list[str],
    "table": dict[str, Any],
    "anything": Any,
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "3", 3),
        ("bounded", "1", 1),
        ("maybe", "0.5", 0.5),
        ("either", "2", 2),
        ("switch", "true", True),
        ("shape", "flat", "flat"),
        ("word", "b", "b"),
    ],
)
def test_plain_settings_get_maxtexts_types(name: str, text: str, value: Value) -> None:
    settings = unlisted_settings({name: text}, FIELDS)
    assert settings == {name: value}
    assert type(settings[name]) is type(value)


@pytest.mark.parametrize("name", ["text", "maybe_text", "words", "table", "anything"])
def test_texts_lists_and_dictionaries_are_refused(name: str) -> None:
    with pytest.raises(SettingRefused, match=f"must not set {name}: it takes neither a number nor"):
        unlisted_settings({name: "x"}, FIELDS)


@pytest.mark.parametrize(
    ("name", "text"), [("count", "two"), ("bounded", "0"), ("switch", "2"), ("shape", "square"), ("word", "c")]
)
def test_values_that_maxtext_would_not_take_are_refused(name: str, text: str) -> None:
    with pytest.raises(SettingRefused, match=f"maxTextUnlisted.{name} can't be {text}: "):
        unlisted_settings({name: text}, FIELDS)


def test_what_maxtext_lacks_is_refused() -> None:
    with pytest.raises(SettingRefused, match="must not set colour: the image's MaxText has no such setting"):
        unlisted_settings({"colour": "1"}, FIELDS)
