"""Some runs looked at together: the frame of their curves, comparison, evaluation and scatter.

The four are views of the same runs; Tab goes from one to the next, and what was chosen in one (a
baseline, metrics) is there in the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.cells import fit
from mcp_tui.tui.fetching import fault_of
from mcp_tui.tui.model import Cell
from mcp_tui.tui.model_curves import Evidence, HasEvidence
from mcp_tui.tui.screens.frame import FrameScreen
from mcp_tui.tui.widgets.prompt import Ask

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console

DEADLINE: Final = 30.0
"""Seconds after which a server is said not to answer."""

SLOW: Final = 0.3
"""Seconds from which it is said what is waited for."""

VIEWS: Final[dict[str, tuple[str, str]]] = {
    "curves": ("Curves", "mcp_tui.tui.screens.curves:CurvesScreen"),
    "compare": ("Compare", "mcp_tui.tui.screens.compare:CompareScreen"),
    "evaluation": ("Evaluation", "mcp_tui.tui.screens.evaluation:EvaluationScreen"),
    "scatter": ("Scatter", "mcp_tui.tui.screens.scatter:ScatterScreen"),
}
"""By its name: a view's title, and module and class of its screen."""


@dataclass
class Looked:
    """What is looked at, and what was chosen of it in any of the views.

    Attributes:
        references: The runs (see :mod:`mcp_tui.tui.model_curves`).
        title: What they are called.
        metrics: Those whose curves are shown; empty before they are chosen.
        baseline: The reference of the run that others are held against; empty for none.
        param: The parameter of the scatter.
        metric: The metric of the scatter.
    """

    references: tuple[str, ...]
    title: str = ""
    metrics: tuple[str, ...] = ()
    baseline: str = ""
    param: str = ""
    metric: str = ""

    def __post_init__(self) -> None:
        if not self.title:
            self.title = _short(self.references)


def _short(references: Sequence[str]) -> str:
    first = references[0].rpartition("/")[2] if references else ""
    return titled([first[:8] if len(first) == 32 else first], len(references))


def titled(labels: Sequence[str], count: int) -> str:
    """What some runs are called in short: the first, and how many more."""
    name = clean_line(labels[0] if labels else "", limit=200)
    name = fit(name, min(len(name), 20), cut="middle")
    return name + (f" +{count - 1}" if count > 1 else "")


def show(console: Console, view: str, looked: Looked) -> None:
    """Look at some runs, above what is in front."""
    if not isinstance(console.backend, HasEvidence):
        console.say("not yet: the console is still starting")
        return
    console.push_screen(_made(view, looked))


def _made(view: str, looked: Looked) -> Together:
    module, _, name = VIEWS[view][1].partition(":")
    made: Together = getattr(import_module(module), name)(looked)
    return made


class Together(FrameScreen, inherit_bindings=False):
    """One view of some runs.

    Args:
        looked: Which, and what was chosen of them.
    """

    VIEW: ClassVar[str] = ""

    def __init__(self, looked: Looked) -> None:
        super().__init__()
        self.looked = looked
        self.fault = ""
        self._out = 0

    @property
    def evidence(self) -> Evidence:
        """Where runs come from."""
        backend = self.console.backend
        assert isinstance(backend, HasEvidence)
        return backend.evidence

    @property
    def pane_id(self) -> str:
        """It stands above the pane that it was opened from."""
        return self.console.current_mode

    # -- for the class ----------------------------------------------------------------------

    async def load(self) -> None:
        """Fetch what is shown, and show it. May raise McpTuiError."""
        raise NotImplementedError

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say in the place of what is shown why it is not there."""
        raise NotImplementedError

    @property
    def is_empty(self) -> bool:
        """Whether nothing is shown yet."""
        raise NotImplementedError

    def export(self, name: str) -> str:
        """What a file of that name holds; UsageError where it cannot be told."""
        raise NotImplementedError

    def file_name(self) -> str:
        """What a saved file is called unless told otherwise."""
        return f"{self.VIEW}.csv"

    # -- the frame --------------------------------------------------------------------------

    def crumbs(self) -> Sequence[str]:
        """The pane and the runs."""
        return (self.console.current_mode.capitalize(), self.looked.title)

    def notes(self) -> Sequence[Cell]:
        """The views, and what is wrong."""
        cells = [Cell(" ")]
        for name, (title, _) in VIEWS.items():
            front = name == self.VIEW
            cells += [Cell(" "), Cell(f"[{title}]" if front else title, "" if front else "dim")]
        if self.fault:
            cells.append(Cell(f"  {self.fault}", "attention"))
        return cells

    # -- fetching ---------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Fetch."""
        self.fetch()

    def fetch(self) -> None:
        """Fetch in a worker; one that is under way is given up."""
        self.run_worker(self._fetch(), group="together", exclusive=True, exit_on_error=False)

    @property
    def fetching(self) -> bool:
        """Whether an answer is waited for."""
        return self._out > 0

    def based(self, asked: str, found: str) -> None:
        """Take the baseline that an answer has, unless another was chosen since it was asked."""
        if self.looked.baseline == asked:
            self.looked.baseline = found

    async def _fetch(self) -> None:
        count = len(self.looked.references)
        asking = f"asking MLflow for {count} run{'s' if count != 1 else ''}"
        waiting = self.set_timer(SLOW, lambda: self.tell(asking) if self.is_empty else None)
        self._out += 1
        try:
            fault = await fault_of(self.load(), DEADLINE)
        finally:
            self._out -= 1
            waiting.stop()
        if fault and self.is_empty:
            self.tell(fault, error=True)
        elif fault:
            self.say(fault, "error")
        self.update_frame()

    # -- keys -------------------------------------------------------------------------------

    def action_view(self, step: int) -> None:
        """The next view of the same runs, in the place of this one."""
        names = list(VIEWS)
        self.go_to(names[(names.index(self.VIEW) + step) % len(names)])

    def go_to(self, view: str) -> None:
        """Another view of the same runs, in the place of this one."""
        if view != self.VIEW:
            self.app.switch_screen(_made(view, self.looked))

    def turn_to(self, view: str, *, metrics: tuple[str, ...] = (), baseline: str = "") -> None:
        """A view of the same runs, with what was named; it may be this one."""
        self.looked.metrics = metrics or self.looked.metrics
        self.looked.baseline = baseline or self.looked.baseline
        if view != self.VIEW:
            self.go_to(view)
        elif metrics or baseline:
            self.fetch()

    def action_curves(self) -> None:
        """The curves."""
        self.go_to("curves")

    def action_compare(self) -> None:
        """The comparison."""
        self.go_to("compare")

    def action_scatter(self) -> None:
        """The scatter."""
        self.go_to("scatter")

    def action_points(self) -> None:
        """What is known, in words."""
        self.say("nothing more is known here")

    def action_baseline(self) -> None:
        """What others are held against."""
        self.say("a baseline is chosen in compare")

    def action_all(self) -> None:
        """All there is."""
        self.say("all of it is shown")

    def action_metrics(self) -> None:
        """Choose metrics."""
        self.say("metrics are chosen in curves")

    def action_faults(self) -> None:
        """Nothing here fails."""
        self.say("nothing to narrow here")

    def action_refresh(self) -> None:
        """Fetch again."""
        self.fetch()

    def action_export(self) -> None:
        """Ask for a file's name."""
        if self.is_empty:
            self.say("nothing to save yet")
        else:
            self.ask(Ask("save", "save as ", self.file_name()))

    def answer(self, ask: Ask, text: str) -> None:
        """A file's name."""
        if ask.mode != "save":
            super().answer(ask, text)
            return
        self.stop_asking()
        try:
            self._save(text.strip())
        except McpTuiError as error:
            self.say(error.line(), "error")

    def _save(self, name: str) -> None:
        path = Path(self.console.options.save_dir or ".", name)
        content = self.export(name)
        try:
            path = path.expanduser()
            # "x": a file that is there is never overwritten.
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(content)
        except (OSError, RuntimeError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or str(error)
            self.say(f"not saved: {why}: {path}", "error")
            return
        self.say(f"saved {content.count(chr(10)):,} lines to {path}")
