"""Types and groups of options that commands share."""

import argparse
import math
from collections.abc import Callable

from pydantic import ValidationError

from distillation_api.model import Model
from distillation_operator.commands.submitted import DNS_LABEL
from distillation_operator.manifests.settings import Installation

SLOWEST, FASTEST = 1e-6, 1e9
"""Rows or steps per second: from one in eleven days to more than any cluster has."""


def given(text: str) -> str:
    """A text that isn't empty, as ``"$VARIABLE"`` is where the variable isn't set."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is empty; is a variable not set?")
    return text


def namespace(text: str) -> str | None:
    """A namespace; None for an empty one, which is the default to kubectl too."""
    if text and not DNS_LABEL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no namespace: it has at most 63 lower case letters, digits and - between them"
        )
    return text or None


def rate(text: str) -> tuple[str, float]:
    """A stage and its rows or steps per second, of ``STAGE=NUMBER``."""
    stage, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not stage or not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no STAGE=NUMBER, e.g. train-teacher-data=0.8")
    if not SLOWEST <= value <= FASTEST:
        raise argparse.ArgumentTypeError(f"{text!r}: no stage is so slow or fast; give from {SLOWEST} to {FASTEST:.0f}")
    return stage, value


def lease(text: str) -> tuple[str, str]:
    """Namespace and name, of ``NAMESPACE/NAME``."""
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAMESPACE/NAME")
    return namespace, name


def json_of[Value: Model](model: type[Value]) -> Callable[[str], Value]:
    """A reader of a model's JSON, whose faults are those of the option."""

    def read(text: str) -> Value:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
            raise argparse.ArgumentTypeError("; ".join(faults)) from error

    return read


def add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    """The options that say which cluster, as kubectl has them."""
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, then ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="of the kubeconfig (default: its current one)")


def add_images(parser: argparse.ArgumentParser) -> None:
    """The options that name the images of the stages."""
    defaults = Installation()
    for image in ("fetcher", "converter", "teacher", "trainer"):
        parser.add_argument(
            f"--{image}-image",
            type=given,
            metavar="IMAGE",
            default=getattr(defaults, f"{image}_image"),
            help=f"image of the {image}'s stages (default: %(default)s)",
        )
    parser.add_argument(
        "--teacher-tpu-image",
        type=given,
        metavar="IMAGE",
        help="image of generation on TPUs (default: the teacher's image)",
    )


def installation(arguments: argparse.Namespace) -> Installation:
    """An installation with the images that these options name."""
    return Installation(
        fetcher_image=arguments.fetcher_image,
        converter_image=arguments.converter_image,
        teacher_image=arguments.teacher_image,
        teacher_tpu_image=arguments.teacher_tpu_image,
        trainer_image=arguments.trainer_image,
    )
