"""Nested runs as a tree: MLflow keeps a parent's id in a tag, and checks nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from mcp_tui.domain.run import Run


class RunNode(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the tree.

    Attributes:
        run: The run.
        depth: 0 for a root.
        children: How many runs stand directly below it.
        lost: Its parent is not among the runs, or is its own descendant: it stands as a root.
    """

    run: Run
    depth: int = 0
    children: int = 0
    lost: bool = False


def nest(runs: Iterable[Run]) -> tuple[RunNode, ...]:
    """Runs with each one's children right below it; the order is kept among brothers.

    Any depth, and any nonsense: a run that is its own ancestor stands as a root once, with what
    hangs on it below.
    """
    ordered = list({run.run_id: run for run in runs}.values())
    known = {run.run_id for run in ordered}
    below: defaultdict[str, list[Run]] = defaultdict(list)
    roots: list[Run] = []
    for run in ordered:
        parent = run.parent_run_id
        if parent in known and parent != run.run_id:
            below[parent].append(run)
        else:
            roots.append(run)
    nodes: list[RunNode] = []
    placed: set[str] = set()

    def place(root: Run, *, lost: bool) -> None:
        stack = [(root, 0)]
        while stack:
            run, depth = stack.pop()
            placed.add(run.run_id)
            children = [each for each in below[run.run_id] if each.run_id not in placed]
            nodes.append(
                RunNode(run=run, depth=depth, children=len(children), lost=lost and run is root)
            )
            stack += [(child, depth + 1) for child in reversed(children)]

    for run in roots:
        place(run, lost=bool(run.parent_run_id))
    # What is left hangs on a circle: its first run is taken for the root.
    for run in ordered:
        if run.run_id not in placed:
            place(run, lost=True)
    return tuple(nodes)
