"""MaxText's name of a model, from its config.json alone: before any weights are read, and without MaxText.

Of the families that are sized by config.json any name of the family is right, and the nearest one is found. Of all
others MaxText has fixed sizes, and a name is right when nothing that config.json says differs from them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from math import log

from distillation_api import reasons
from distillation_stages.maxtext.families import FAMILIES, sized_settings
from distillation_stages.maxtext.known_models import KNOWN, KnownModel, Shape, shape_of
from distillation_stages.models.model_config import HuggingFaceConfig, architectures
from distillation_stages.runtime.failure import StageError

NAME = "model_name"
"""MaxText's setting, in the result of the fetch stage too."""


def model_name(config: HuggingFaceConfig, given: str | None, trained: bool, field: str) -> str:
    """The name under which MaxText runs the model: the given one, if it is right, or what is found.

    ``field`` is where a user gives it. Raises StageError for a name that contradicts config.json, for a model that
    MaxText can't run, and for one that ``given`` has to tell from another.
    """
    try:
        return _model_name(config, given, trained, field)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        # Such as a text in place of a number.
        raise StageError(reasons.BAD_MODEL_CONFIG, f"config.json holds what no model has: {error}") from error


def _model_name(config: HuggingFaceConfig, given: str | None, trained: bool, field: str) -> str:
    models = _of_architecture(config, trained)
    right = _right(config, models)
    if given is not None and (given not in KNOWN or KNOWN[given].model_type != _kind(config)):
        raise StageError(
            reasons.MAX_TEXT_MODEL_CONTRADICTED,
            f"{field} is {given!r}, but config.json has {_architecture(config)}. Right would be "
            f"{' or '.join(right or models)}; or leave the field out, and the name is found",
        )
    if _kind(config) in FAMILIES:
        name = given or right[0]
        # What MaxText can't do is told now, by the same code that the conversion asks.
        sized_settings(name, config)
        return name
    if not right:
        raise _no_such_shape(config, models, given)
    if given in right:
        return given
    if given is not None:
        wrong = "; ".join(shape_of(config).differences(KNOWN[given].shape))
        raise StageError(
            reasons.MAX_TEXT_MODEL_CONTRADICTED,
            f"{field} is {given!r}, but config.json differs from it in {wrong}. Right would be {' or '.join(right)}; "
            "or leave the field out, and the name is found",
        )
    # Names of one shape mean the same.
    if len({models[name].shape for name in right}) > 1:
        raise StageError(
            reasons.MAX_TEXT_MODEL_AMBIGUOUS,
            f"config.json has {_architecture(config)} and fits more than one of MaxText's models; set {field} to the "
            f"right one of {', '.join(right)}",
        )
    return right[0]


def found_name(config: HuggingFaceConfig) -> str | None:
    """The name that config.json leads to, whoever asks; None where it leads to none."""
    try:
        return model_name(config, None, trained=False, field="")
    except StageError:
        return None


def _of_architecture(config: HuggingFaceConfig, trained: bool) -> Mapping[str, KnownModel]:
    """MaxText's models of the architecture, that it converts. Raises StageError when there are none."""
    usable = {name: model for name, model in KNOWN.items() if model.model_type == _kind(config) and model.converts}
    if not usable:
        raise StageError(
            reasons.MODEL_NOT_SUPPORTED,
            f"config.json has {_architecture(config)}, which MaxText doesn't {'train' if trained else 'run'}. It takes "
            f"model_type {', '.join(FAMILIES)} in any size, and of others {', '.join(_fixed(trained))}",
        )
    back = {name: model for name, model in usable.items() if model.converts_back}
    if trained and not back:
        raise StageError(
            reasons.MODEL_NOT_SUPPORTED,
            f"config.json has {_architecture(config)}, which MaxText can't convert back to Hugging Face's format after "
            f"training. Choose a student of model_type {', '.join(FAMILIES)}, or one of {', '.join(_fixed(trained))}",
        )
    return back if trained else usable


def _fixed(trained: bool) -> Iterable[str]:
    """The names that stand for one size each."""
    return (
        name
        for name, model in KNOWN.items()
        if model.model_type not in FAMILIES and model.converts and (model.converts_back or not trained)
    )


def _right(config: HuggingFaceConfig, models: Mapping[str, KnownModel]) -> list[str]:
    """The names that are right for the model; of a family all of them, the nearest first."""
    shape = shape_of(config)
    if _kind(config) in FAMILIES:
        return sorted(models, key=lambda name: _distance(shape, models[name].shape))
    return [name for name, model in models.items() if not shape.differences(model.shape)]


def _no_such_shape(config: HuggingFaceConfig, models: Mapping[str, KnownModel], given: str | None) -> StageError:
    shape = shape_of(config)
    name = (
        given
        if given is not None and given in models
        else min(models, key=lambda name: _distance(shape, models[name].shape))
    )
    return StageError(
        reasons.MODEL_NOT_SUPPORTED,
        f"config.json has {_architecture(config)} in a shape that MaxText can't convert; from its {name} it differs in "
        f"{'; '.join(shape.differences(models[name].shape))}. Only model_type {', '.join(FAMILIES)} may have sizes of "
        f"its own; of this one MaxText has {', '.join(models)}",
    )


def _distance(shape: Shape, known: Shape) -> float:
    """Nepers between the sizes, added up; what is no size counts as one when it differs."""
    pairs = [(getattr(shape, field.name), getattr(known, field.name)) for field in fields(Shape)]
    return sum(_difference(a, b) for a, b in pairs if a is not None and b is not None)


def _difference(value: object, known: object) -> float:
    if isinstance(value, str) and isinstance(known, str):
        # Another factor of the same kind of scaling is half of a difference.
        return (float(value != known) + float(value.split()[0] != known.split()[0])) / 2
    if isinstance(value, bool) or not isinstance(value, int | float) or not isinstance(known, int | float):
        return float(value != known)
    return abs(log(value / known)) if value > 0 and known > 0 else 1.0


def _kind(config: HuggingFaceConfig) -> str:
    return str(config.get("model_type"))


def _architecture(config: HuggingFaceConfig) -> str:
    named = architectures(config)
    name = f"the architecture {named[0]}" if named else "an architecture without a name"
    return f"{name} (model_type {_kind(config)})"
