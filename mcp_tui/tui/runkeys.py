"""The keys that lead from a list of runs, or of what has runs, to these looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_tui.tui.model import Cell
from mcp_tui.tui.model_curves import HasEvidence
from mcp_tui.tui.screens.frame import FrameScreen

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console


def runs_of(console: Console, jobs: Sequence[str]) -> tuple[str, ...]:
    """The references of the runs of some jobs; those without one are left out."""
    backend = console.backend
    if not isinstance(backend, HasEvidence):
        return ()
    return tuple(dict.fromkeys(run for job in jobs if (run := backend.run_of(job))))


class RunKeys(FrameScreen, inherit_bindings=False):
    """Curves and comparison of the runs that are chosen on a screen."""

    @property
    def baseline(self) -> str:
        """What others are held against, wherever it was chosen; none of a context that is shut."""
        found, contexts = self.console.baseline, self.console.state.contexts
        return found if any(found.startswith(f"{name}/") for name in contexts) else ""

    def notes(self) -> Sequence[Cell]:
        """The baseline too."""
        baseline = self.baseline
        told = Cell(f"  baseline {baseline.rpartition('/')[2][:8]}", "accent")
        return [*super().notes(), told] if baseline else super().notes()

    def runs_chosen(self) -> tuple[str, ...]:
        """References of the runs that are marked, or of the one under the cursor."""
        raise NotImplementedError

    def bases_chosen(self) -> tuple[str, ...]:
        """The same as ``context/id`` each: what a baseline is, wherever it was chosen."""
        return self.runs_chosen()

    def look_at(self, view: str, *, metrics: tuple[str, ...] = (), baseline: str = "") -> None:
        """Look at the chosen runs together, at these metrics, beside a baseline of its own."""
        from mcp_tui.tui.screens.together import Looked, show

        runs = self.runs_chosen()
        if not runs:
            self.say("no MLflow run here")
            return
        if not baseline and self.baseline:
            baseline = self.baseline
            runs = runs if baseline in runs else (baseline, *runs)
        show(self.console, view, Looked(runs, metrics=metrics, baseline=baseline))

    def action_curves(self) -> None:
        """Their curves."""
        self.look_at("curves")

    def action_compare(self) -> None:
        """Side by side."""
        self.look_at("compare")

    def action_baseline(self) -> None:
        """What others are held against: this one, or none."""
        runs = self.bases_chosen()
        if len(runs) != 1:
            self.say("one run can be the baseline: clear the marks first")
        elif self.baseline == runs[0]:
            self.console.baseline = ""
            self.say("no baseline")
        else:
            self.console.baseline = runs[0]
            self.say("this run is the baseline: = and v show others beside it")
        self.update_frame()


def show_run(screen: FrameScreen, job: str) -> None:
    """The detail of a job's run, over the pane that the job is looked at in."""
    key = screen.console.backend.run_details.run_of(job)
    if not key:
        screen.say("no MLflow run is linked to this job")
        return
    from mcp_tui.tui.screens.run import RunScreen

    screen.app.push_screen(RunScreen(key, screen.PANE))
