"""Commands: ``validate``, ``plan``, ``local``, ``crd`` and ``schema`` need no cluster, ``watch`` reads one, ``run`` is
the operator."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace

from pydantic import ValidationError

from distillation_api.model import Model
from distillation_operator import __version__
from distillation_operator.commands.errors import CommandError
from distillation_operator.manifests.allowed import Allowed
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import StagePods

Command = Callable[[argparse.Namespace], int]


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code of the process."""
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    try:
        return command(arguments)
    except CommandError as error:
        print(f"distillation-operator: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # `plan FILE | head`: the reader has seen enough, and the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


# Each command imports what it needs: validating a file shouldn't wait for Kubernetes' client to load.


def _validate(arguments: argparse.Namespace) -> int:
    from distillation_operator.commands import validate

    return validate.run(arguments.files)


def _plan(arguments: argparse.Namespace) -> int:
    from distillation_operator.commands import plan

    return plan.run(
        arguments.file,
        arguments.namespace,
        _installation(arguments),
        rates=dict(arguments.rate),
        summary=not arguments.manifests,
        manifests=not arguments.summary,
    )


def _watch(arguments: argparse.Namespace) -> int:
    from distillation_operator.commands import watch, watch_file

    if watch_file.is_folder(arguments.name):
        return watch_file.run(arguments.name)
    return watch.run(arguments.name, arguments.namespace, arguments.kubeconfig)


def _local(arguments: argparse.Namespace) -> int:
    from distillation_operator.commands import local

    return local.run(arguments.file, local.options(arguments))


def _run(arguments: argparse.Namespace) -> int:
    from distillation_operator.controller import process
    from distillation_operator.controller.kube import NoCluster
    from distillation_operator.controller.settings import ControllerSettings

    settings = ControllerSettings(
        namespaces=tuple(arguments.namespace),
        installation=replace(
            _installation(arguments),
            own_account=_own_account(),
            allow_unlisted_max_text=arguments.allow_unlisted_maxtext_settings,
            allowed=arguments.allowed,
            stage_pods=arguments.stage_pods,
        ),
        kubeconfig=arguments.kubeconfig,
        log_format=arguments.log_format,
        port=arguments.port,
        lease=arguments.lease,
    )
    try:
        process.run(settings)
    except process.LeaseLost as error:
        raise CommandError(str(error)) from error
    except NoCluster as error:
        raise CommandError(f"no cluster: {error}") from error
    return 0


def _crd(arguments: argparse.Namespace) -> int:
    from distillation_api.schemas import crd

    crd.main()
    return 0


def _installation(arguments: argparse.Namespace) -> Installation:
    return Installation(
        fetcher_image=arguments.fetcher_image,
        converter_image=arguments.converter_image,
        teacher_image=arguments.teacher_image,
        teacher_tpu_image=arguments.teacher_tpu_image,
        trainer_image=arguments.trainer_image,
    )


def _schema(arguments: argparse.Namespace) -> int:
    from distillation_api.schemas.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def _ready(arguments: argparse.Namespace) -> int:
    from distillation_operator.commands import ready

    return ready.run(arguments.url)


def _own_account() -> tuple[str, str] | None:
    """As the Deployment tells it through the downward API."""
    namespace, name = os.environ.get("POD_NAMESPACE"), os.environ.get("POD_SERVICE_ACCOUNT")
    return (namespace, name) if namespace and name else None


def _rate(text: str) -> tuple[str, float]:
    stage, _, number = text.partition("=")
    try:
        rate = float(number)
    except ValueError:
        rate = 0.0
    if not stage or not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no STAGE=NUMBER, e.g. train-teacher-data=0.8")
    return stage, rate


def _lease(text: str) -> tuple[str, str]:
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAMESPACE/NAME")
    return namespace, name


def _json_of[Value: Model](model: type[Value]) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
            raise argparse.ArgumentTypeError("; ".join(faults)) from error

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distillation-operator", description="Distils language models on Kubernetes: one manifest, one student."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(command=command)
        return added

    validate = add("validate", _validate, "check manifests as the API server would, without a cluster")
    validate.add_argument("files", nargs="+", metavar="FILE", help="YAML, any number of documents; - for stdin")

    plan = add("plan", _plan, "print the stages, machines and manifests of a DistillationJob, without a cluster")
    plan.add_argument("file", metavar="FILE", help="YAML; - for stdin")
    plan.add_argument("-n", "--namespace", help="namespace of the manifests, where the file names none")
    plan.add_argument(
        "--rate",
        type=_rate,
        action="append",
        default=[],
        metavar="STAGE=NUMBER",
        help="rows or steps per second of a stage, as an earlier job measured it, for the chip-hours; may be repeated",
    )
    which = plan.add_mutually_exclusive_group()
    which.add_argument("--summary", action="store_true", help="leave out the manifests")
    which.add_argument("--manifests", action="store_true", help="print the manifests alone, as YAML")
    _add_images(plan)

    watch = add("watch", _watch, "follow a DistillationJob until it ends; exit code 0 when Complete, 1 when Failed")
    watch.add_argument("name", metavar="NAME", help="name of the DistillationJob; DIR/NAME: of one run by local")
    watch.add_argument("-n", "--namespace", help="its namespace (default: the one of the kubeconfig's context)")
    watch.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, then ~/.kube/config")

    local = add("local", _local, "run a DistillationJob on this machine, without Kubernetes")
    _add_local(local)

    run = add("run", _run, "run the operator")
    run.add_argument(
        "--namespace", action="append", default=[], help="watch this namespace; may be repeated (default: all)"
    )
    _add_images(run)
    run.add_argument("--kubeconfig", metavar="FILE", help="default: the pod's ServiceAccount, or as kubectl")
    run.add_argument("--port", type=int, help="answer /healthz, /readyz and /metrics there (default: nowhere)")
    run.add_argument(
        "--lease",
        type=_lease,
        metavar="NAMESPACE/NAME",
        help="of several replicas the one that holds this Lease acts (default: a single replica)",
    )
    run.add_argument(
        "--allow-unlisted-maxtext-settings",
        action="store_true",
        help="let jobs set numbers, booleans and enumerations of MaxText's that maxText does not list",
    )
    run.add_argument(
        "--allowed",
        type=_json_of(Allowed),
        default=Allowed(),
        metavar="JSON",
        help="what jobs may name, as the chart's value allowed (default: anything)",
    )
    run.add_argument(
        "--stage-pods",
        type=_json_of(StagePods),
        default=StagePods(),
        metavar="JSON",
        help="limits of all pods of stages, as the chart's value stagePods (default: none)",
    )
    run.add_argument("--log-format", choices=("json", "text"), default="json", help="default: json")

    add("crd", _crd, "print the CustomResourceDefinition as YAML")
    add("schema", _schema, "print the JSON schema of a DistillationJob, for editors and YAML language servers")
    ready = add("ready", _ready, "wait until an operator answers that it is ready")
    ready.add_argument("url", metavar="URL", help="of /readyz on the operator's port")
    return parser


def _add_local(local: argparse.ArgumentParser) -> None:
    local.add_argument("file", nargs="?", metavar="FILE", help="YAML with one DistillationJob; - for stdin")
    local.add_argument("--storage", metavar="DIR", help="folder in place of the manifest's spec.storage")
    local.add_argument(
        "--prepare", action="store_true", help="first make the Python environments that are missing; alone: all"
    )
    local.add_argument("--cores", type=int, metavar="N", help="cores that stages share (default: this machine's)")
    local.add_argument(
        "--ignore-accelerators",
        action="store_true",
        help="leave out queue, accelerators and hosts: everything on this machine's CPU, for results of its own",
    )
    local.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="IMAGE=PATH",
        help="interpreter with the packages of an image: fetcher, converter, trainer, teacher, teacher-tpu",
    )
    local.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME/KEY=PLACE",
        help="value of a Secret that the manifest names; PLACE is env:VARIABLE or file:PATH",
    )
    local.add_argument("--retry", metavar="STAGE", help="try a failed stage again")


def _add_images(parser: argparse.ArgumentParser) -> None:
    defaults = Installation()
    for image in ("fetcher", "converter", "teacher", "trainer"):
        parser.add_argument(
            f"--{image}-image",
            metavar="IMAGE",
            default=getattr(defaults, f"{image}_image"),
            help=f"image of the {image}'s stages (default: %(default)s)",
        )
    parser.add_argument(
        "--teacher-tpu-image", metavar="IMAGE", help="image of generation on TPUs (default: the teacher's image)"
    )
