"""Commands: ``validate``, ``plan``, ``local``, ``crd`` and ``schema`` need no cluster, ``watch``, ``compare`` and
``dashboard`` read one, and ``run`` is the operator."""

import argparse
import json
import os
import sys
from dataclasses import replace

from distillation_operator import __version__
from distillation_operator.commands.command_list import Command, Commands
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.local_options import add_local_options, local_options
from distillation_operator.commands.options import (
    add_images,
    add_kubeconfig,
    given,
    installation,
    json_of,
    lease,
    namespace,
    rate,
)
from distillation_operator.commands.printable import printable
from distillation_operator.commands.standard_output import flush, silence, unwritable
from distillation_operator.manifests.allowed import Allowed
from distillation_operator.manifests.stage_pods import StagePods


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code of the process."""
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    try:
        code = command(arguments)
        flush()
        return code
    except CommandError as error:
        for line in f"distillation-operator: {error}".split("\n"):
            print(printable(line), file=sys.stderr)
        if unwritable():
            silence()
        return 1
    except BrokenPipeError:
        # `plan FILE | head`: the reader has seen enough.
        silence()
        return 1
    except OSError as error:
        fault = None if error.filename else unwritable(probe="\n")
        if fault is None:
            raise
        silence()
        print(f"distillation-operator: standard output can't be written: {fault}", file=sys.stderr)
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
        installation(arguments),
        rates=dict(arguments.rate),
        summary=not arguments.manifests,
        manifests=not arguments.summary,
    )


def _watch(arguments: argparse.Namespace) -> int:
    from distillation_operator.commands import watch, watch_file

    if watch_file.is_folder(arguments.name):
        return watch_file.run(arguments.name)
    return watch.run(arguments.name, arguments.namespace, arguments.kubeconfig, arguments.context)


def _compare(arguments: argparse.Namespace) -> int:
    from distillation_operator.commands.compare import command

    return command.run(
        arguments.jobs,
        namespace=arguments.namespace,
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        storage=arguments.storage,
        html=arguments.html,
        as_data=arguments.json,
        sort=arguments.sort,
    )


def _dashboard(arguments: argparse.Namespace) -> int:
    from distillation_operator.dashboard import command

    return command.run(
        arguments.namespace,
        arguments.kubeconfig,
        arguments.file,
        arguments.port,
        open_browser=arguments.open,
        context=arguments.context,
    )


def _local(arguments: argparse.Namespace) -> int:
    # First: on other systems the rest can't even be imported.
    options = local_options(arguments)
    from distillation_operator.commands import local

    return local.run(arguments.file, options)


def _run(arguments: argparse.Namespace) -> int:
    from distillation_operator.controller import process
    from distillation_operator.controller.kube import NoCluster
    from distillation_operator.controller.settings import ControllerSettings

    settings = ControllerSettings(
        namespaces=tuple(arguments.namespace),
        installation=replace(
            installation(arguments),
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distillation-operator",
        description="Distils language models on Kubernetes: one manifest, one student.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = Commands(parser)
    commands.group("distillations, without a cluster")
    _add_validate(commands)
    _add_plan(commands)
    _add_local(commands)
    _add_schema(commands)
    commands.group("distillations on a cluster")
    _add_watch(commands)
    _add_compare(commands)
    _add_dashboard(commands)
    commands.group("the operator and its installation")
    _add_run(commands)
    _add_ready(commands)
    _add_crd(commands)
    parser.epilog = f"{parser.epilog}\n\nCOMMAND --help lists the options of a command."
    return parser


def _add_validate(commands: Commands) -> None:
    validate = commands.add("validate", _validate, "check manifests as the API server would, without a cluster")
    validate.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="YAML or JSON, any number of documents; a directory with all below; - for stdin",
    )


def _add_plan(commands: Commands) -> None:
    plan = commands.add(
        "plan", _plan, "print the stages, machines and manifests of a DistillationJob, without a cluster"
    )
    plan.add_argument("file", metavar="FILE", help="YAML; - for stdin")
    plan.add_argument("-n", "--namespace", type=namespace, help="namespace of the manifests, where the file names none")
    plan.add_argument(
        "--rate",
        type=rate,
        action="append",
        default=[],
        metavar="STAGE=NUMBER",
        help="answers or steps per second of a stage, as watch shows them, for time and chip-hours; may be repeated",
    )
    which = plan.add_mutually_exclusive_group()
    which.add_argument("--summary", action="store_true", help="leave out the manifests")
    which.add_argument("--manifests", action="store_true", help="print the manifests alone, as YAML")
    add_images(plan)


def _add_local(commands: Commands) -> None:
    local = commands.add("local", _local, "run a DistillationJob on this machine, without Kubernetes")
    add_local_options(local)


def _add_schema(commands: Commands) -> None:
    commands.add("schema", _schema, "print the JSON schema of a DistillationJob, for editors and YAML language servers")


def _add_watch(commands: Commands) -> None:
    watch = commands.add(
        "watch", _watch, "follow a DistillationJob until it ends; exit code 0 when Complete, 1 when Failed"
    )
    watch.add_argument("name", metavar="NAME", help="name of the DistillationJob, or DIR/NAME of one that local runs")
    watch.add_argument(
        "-n", "--namespace", type=namespace, help="its namespace (default: the one of the kubeconfig's context)"
    )
    add_kubeconfig(watch)


def _add_compare(commands: Commands) -> None:
    compare = commands.add(
        "compare", _compare, "show several runs side by side: specs, scores, curves, tokens, time, chip-hours"
    )
    compare.add_argument(
        "jobs",
        nargs="+",
        metavar="JOB",
        help="NAME or NAMESPACE/NAME in the cluster, a folder of local, a file of `kubectl get dj -o json` (- for "
        "stdin), or the folder of a report; cluster:NAME for a job whose name a file has too",
    )
    compare.add_argument("-n", "--namespace", type=namespace, help="of jobs in the cluster (default: as kubectl)")
    add_kubeconfig(compare)
    compare.add_argument(
        "--storage", type=given, metavar="DIR", help="the storage on this machine, for curves and all scores"
    )
    compare.add_argument("--sort", metavar="FIGURE", help="best first by e.g. crossEntropyAfter, klAfter or chipHours")
    compare.add_argument("--html", type=given, metavar="FILE", help="write a page with the curves too")
    compare.add_argument("--json", action="store_true", help="print JSON in place of the table")


def _add_dashboard(commands: Commands) -> None:
    dashboard = commands.add(
        "dashboard", _dashboard, "show DistillationJobs, live, on a page of this machine; writes nothing"
    )
    dashboard.add_argument(
        "-n", "--namespace", action="append", default=[], help="show this namespace; may be repeated (default: all)"
    )
    add_kubeconfig(dashboard)
    dashboard.add_argument(
        "--file",
        type=given,
        action="append",
        default=[],
        metavar="PATH",
        help="show files in place of a cluster: a DistillationJob as YAML, or a folder of local runs; may be repeated",
    )
    dashboard.add_argument("--port", type=int, default=8642, help="port of 127.0.0.1, 0 for a free one (default: 8642)")
    dashboard.add_argument("--open", action="store_true", help="open the page in the browser")


def _add_run(commands: Commands) -> None:
    run = commands.add("run", _run, "run the operator")
    run.add_argument(
        "--namespace", action="append", default=[], help="watch this namespace; may be repeated (default: all)"
    )
    add_images(run)
    run.add_argument("--kubeconfig", metavar="FILE", help="default: the pod's ServiceAccount, or as kubectl")
    run.add_argument("--port", type=int, help="answer /healthz, /readyz and /metrics there (default: nowhere)")
    run.add_argument(
        "--lease",
        type=lease,
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
        type=json_of(Allowed),
        default=Allowed(),
        metavar="JSON",
        help="what jobs may name, as the chart's value allowed (default: anything)",
    )
    run.add_argument(
        "--stage-pods",
        type=json_of(StagePods),
        default=StagePods(),
        metavar="JSON",
        help="limits of all pods of stages, as the chart's value stagePods (default: none)",
    )
    run.add_argument("--log-format", choices=("json", "text"), default="json", help="default: json")


def _add_ready(commands: Commands) -> None:
    ready = commands.add("ready", _ready, "wait until an operator answers that it is ready")
    ready.add_argument("url", metavar="URL", help="of /readyz on the operator's port")


def _add_crd(commands: Commands) -> None:
    commands.add("crd", _crd, "print the CustomResourceDefinition as YAML")
