"""The command line: one small function per command."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from distillation_operator.local.errors import PreparationError
from testbed import environments, images, toolchain
from testbed.cluster import Testbed, check_machine
from testbed.console import progress
from testbed.errors import TestbedError
from testbed.site import Depth


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except (TestbedError, PreparationError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("testbed: interrupted; `up` continues from here, `down` removes what there is", file=sys.stderr)
        return 130


def _testbed(arguments: argparse.Namespace) -> Testbed:
    depth = Depth.CONTROL_PLANE if arguments.control_plane else Depth.FULL
    return Testbed(arguments.name, depth, progress())


def _up(arguments: argparse.Namespace) -> int:
    _testbed(arguments).up()
    return 0


def _down(arguments: argparse.Namespace) -> int:
    _testbed(arguments).down(keep_storage=arguments.keep_storage)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    testbed = _testbed(arguments)
    site = testbed.site
    alive = {name: testbed.alive(name) for name in testbed.components}
    print(f"{site.depth} at {site.server}, namespace {site.namespace.init}")
    for name, running in alive.items():
        print(f"  {name:<24} {'alive' if running else 'DEAD':<6} pid {testbed.pid(name) or '-'}")
    if site.depth is Depth.CONTROL_PLANE:
        return 0 if all(alive.values()) else 1
    ready = testbed.node_ready()
    print(f"  node {'Ready' if ready else 'NOT READY'}")
    return 0 if ready and all(alive.values()) else 1


def _kubeconfig(arguments: argparse.Namespace) -> int:
    testbed = _testbed(arguments)
    _ = testbed.site
    print(testbed.kubeconfig)
    return 0


def _build(arguments: argparse.Namespace) -> int:
    check_machine()
    unknown = [name for name in arguments.parts if name not in toolchain.PARTS]
    if unknown:
        raise TestbedError(f"no part {unknown[0]}; there are {', '.join(toolchain.PARTS)}")
    say = progress()
    toolchain.build(say, arguments.parts or toolchain.PARTS)
    say("nothing is missing")
    return 0


def _images(arguments: argparse.Namespace) -> int:
    say = progress()
    for reference in _testbed(arguments).load_images():
        say(reference)
    for name in environments.NAMES:
        say(f"{images.stage_reference(name)} runs {environments.python(name)}")
    return 0


def _claim(arguments: argparse.Namespace) -> int:
    path = _testbed(arguments).claim(arguments.namespace, arguments.claim)
    print(path)
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    testbed = _testbed(arguments)
    command = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not command:
        raise TestbedError("exec needs a command, for example: exec -- ctr -n k8s.io containers list")
    environment = os.environ | {
        "KUBECONFIG": str(testbed.kubeconfig),
        "PATH": f"{testbed.kubectl.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
    }
    inside = testbed.site.namespace.command(command)
    os.execvpe(inside[0], inside, environment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testbed", description="A real single-node Kubernetes, as root.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--name", help="which testbed (default: full, or control-plane with --control-plane)")
        sub.add_argument("--control-plane", action="store_true", help="without a node: seconds to start, runs no pod")
        return sub

    add("up", _up, "build what is missing, start what isn't running, wait for all of it")
    down = add("down", _down, "end and remove everything")
    down.add_argument("--keep-storage", action="store_true", help="keep the folder behind the claims")
    add("status", _status, "each component, and the node")
    add("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig")
    build = add("build", _build, "make programs, packages and environments, if missing, and start nothing")
    build.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(toolchain.PARTS)} (default: all)")
    add("images", _images, "make the images again from the checkout and import them")
    claim = add("claim", _claim, "make a namespace and a bound claim in it; prints the folder on the host")
    claim.add_argument("--namespace", required=True)
    claim.add_argument("--claim", required=True)
    run = add("exec", _exec, "run a command inside, with kubectl and KUBECONFIG set")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    return parser
