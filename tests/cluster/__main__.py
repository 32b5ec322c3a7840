"""``python -m tests.cluster up|down|status|build``: the real control plane as a command."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.build import EXTRAS, ensure_all
from tests.cluster.cache import BuildError
from tests.cluster.ground import CONTEXTS, Ground, alive, kubectl, read_state, stop
from tests.cluster.process import GroundError, start_time
from tests.cluster.supervisor import serve


def _shown(path: Path) -> str:
    """A path as short as it can be written from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _usage(ground: Ground) -> str:
    kubeconfig = _shown(ground.kubeconfig)
    names = ", ".join(ground.clusters)
    use = f"KUBECONFIG={kubeconfig}"
    return "\n".join(
        [
            f"The real control plane runs: {names}.",
            "",
            f"  {use} .venv/bin/mcp-tui --context dev",
            f"  KUBECONFIG={kubeconfig} {_shown(kubectl())} --context dev get jobs -A",
            "",
            "  identities: --context dev (admin), dev-operator, dev-viewer, dev-nowatch,"
            " dev-cert (client certificate)",
            f"  MLflow      {ground.mlflow}",
            f"  Prometheus  {ground.prometheus}",
            f"  logs        {_shown(ground.directory / 'logs')}",
            "",
            "  make cluster-down ends it.",
        ]
    )


def _up(directory: Path, clusters: int, extras: Sequence[str]) -> int:
    state = read_state(directory)
    if state is not None and alive(state) and state["ready"]:
        print(_usage(Ground.attach(directory)))
        print(f"\nIt was running already in {_shown(directory)}.")
        return 0
    started = time.monotonic()
    ground = Ground.start(directory, contexts=CONTEXTS[clusters], extras=extras)
    print(_usage(ground))
    print(f"\nStarted in {time.monotonic() - started:.1f} s.")
    return 0


def _down(directory: Path) -> int:
    state = read_state(directory)
    if state is None:
        print(f"Nothing runs in {_shown(directory)}.")
        return 0
    left = stop(directory)
    if left:
        print(f"These processes could not be ended: {left}", file=sys.stderr)
        return 1
    print(f"Ended what ran in {_shown(directory)}.")
    return 0


def _status(directory: Path) -> int:
    state = read_state(directory)
    if state is None or not alive(state):
        print(f"Nothing runs in {_shown(directory)}.")
        return 1
    for name, process in state["processes"].items():
        up = start_time(process["pid"]) == process["start"]
        print(f"{name:32} {process['pid']:>8}  {'running' if up else 'ENDED'}")
    print(f"{'mlflow':12} {state['mlflow']}\n{'prometheus':12} {state['prometheus']}")
    return 0


def main() -> int:
    """Parse the command line and do it; returns an exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "status", "serve"):
        command = commands.add_parser(name)
        command.add_argument("--dir", type=Path, default=Path(".cluster"))
        if name == "up":
            command.add_argument("--clusters", type=int, choices=sorted(CONTEXTS), default=3)
        if name in ("up", "serve"):
            command.add_argument("--with", dest="extras", choices=sorted(EXTRAS), action="append")
        if name == "serve":
            command.add_argument("--contexts", required=True)
            command.add_argument("--owner", type=int)
            command.add_argument("--base", type=Path)
            command.add_argument("--secluded", action="store_true")
    build = commands.add_parser("build")
    build.add_argument("--with", dest="extras", choices=sorted(EXTRAS), action="append")
    args = parser.parse_args()
    extras = tuple(getattr(args, "extras", None) or ())
    if args.command == "build":
        ensure_all(extras=extras)
        return 0
    directory: Path = args.dir.resolve()
    if args.command == "serve":
        return serve(
            directory,
            args.contexts.split(","),
            owner=args.owner,
            base=args.base,
            extras=extras,
            secluded=args.secluded,
        )
    if args.command == "up":
        return _up(directory, args.clusters, extras)
    return _down(directory) if args.command == "down" else _status(directory)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BuildError, GroundError) as error:
        sys.exit(f"cluster: {error}")
