"""The user's own MaxText settings, checked once more where MaxText is installed, and with their types."""

import enum
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from distillation_api import reasons
from distillation_api.contract import TrainProgram
from distillation_api.maxtext.settings import SettingRefused, typed_settings, unlisted_fault
from distillation_stages.maxtext.families import Setting, Settings
from distillation_stages.runtime.failure import StageError

Fields = Mapping[str, Any]
"""MaxText's settings: the annotation of each, with its bounds."""


def user_settings(program: TrainProgram) -> Settings:
    """All settings that the user gave. Raises StageError for what may not be set, or not so."""
    try:
        listed: Settings = dict(typed_settings(program.max_text))
        unlisted = program.max_text_unlisted
        faults = [fault for name in unlisted if (fault := unlisted_fault(name)) is not None]
        if faults:
            raise SettingRefused("; ".join(faults))
        return listed | unlisted_settings(unlisted, installed_fields()) if unlisted else listed
    except SettingRefused as error:
        raise StageError(reasons.SETTING_REFUSED, str(error)) from error


def unlisted_settings(settings: Mapping[str, str], fields: Fields) -> Settings:
    """Settings of ``maxTextUnlisted`` with the types that MaxText declares. Raises SettingRefused."""
    return {name: _unlisted(name, text, fields) for name, text in settings.items()}


def _unlisted(name: str, text: str, fields: Fields) -> Setting:
    if name not in fields:
        raise SettingRefused(f"maxTextUnlisted must not set {name}: the image's MaxText has no such setting")
    if not is_plain(fields[name]):
        raise SettingRefused(
            f"maxTextUnlisted must not set {name}: it takes neither a number nor a boolean nor one of a few words"
        )
    try:
        value: Any = TypeAdapter(fields[name]).validate_python(text)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]["msg"]
        raise SettingRefused(f"maxTextUnlisted.{name} can't be {text}: {wrong}") from error
    plain: Setting = value.value if isinstance(value, enum.Enum) else value
    return plain


def is_plain(annotation: Any) -> bool:
    """True for a number, a boolean, an enumeration, and one of these that may be absent."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_plain(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return bool(members) and all(map(is_plain, members))
    if origin is Literal:
        return True
    return isinstance(annotation, type) and issubclass(annotation, int | float | enum.Enum)


def installed_fields() -> Fields:
    """The settings of the installed MaxText. Imports it, which takes half a minute."""
    from distillation_stages.maxtext.start import patch_imports

    patch_imports()
    from maxtext.configs.types import MaxTextConfig

    return {
        name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        for name, field in MaxTextConfig.model_fields.items()
    }
