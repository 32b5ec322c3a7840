"""What is done with a model or a version, the same in the list and in its detail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mcp_tui.domain.plan import Plan
from mcp_tui.tui.model_models import Part, Subject
from mcp_tui.tui.runkeys import RunKeys


class ModelKeys(RunKeys, inherit_bindings=False):
    """The keys of the scope ``models``."""

    def front_subject(self) -> Subject | None:
        """What the keys are about; says so where there is nothing."""
        raise NotImplementedError

    def show_part(self, part: Part) -> None:
        """A tab of the detail."""
        raise NotImplementedError

    def runs_chosen(self) -> tuple[str, ...]:
        """The versions that are marked, or the one under the cursor; they name their runs."""
        alone = len(self.console.state.contexts) == 1
        return tuple(
            f"{each.model}/{each.version}" if alone else f"{each.context}/{each.run_id}"
            for each in self.chosen()
            if each.version and each.run_id
        )

    def bases_chosen(self) -> tuple[str, ...]:
        """Their runs."""
        found = (each for each in self.chosen() if each.version and each.run_id)
        return tuple(f"{each.context}/{each.run_id}" for each in found)

    def action_curves(self) -> None:
        """What was measured of them, beside the champion, with the gates; Tab goes to curves."""
        self.look_at("evaluation")

    def chosen(self) -> tuple[Subject, ...]:
        """What is marked, or else under the cursor."""
        subject = self.front_subject()
        return () if subject is None else (subject,)

    # -- looking ----------------------------------------------------------------------------

    def action_model_detail(self) -> None:
        """All that is known of it."""
        self.show_part("Overview")

    def action_alias_history(self) -> None:
        """Who moved its aliases, when and why."""
        self.show_part("History")

    # -- acting -----------------------------------------------------------------------------

    def _version(self, what: str) -> Subject | None:
        if not self.console.acting.may_write(what):
            return None
        subject = self.front_subject()
        if subject is not None and not subject.version:
            self.say(f"choose a version to {what}: Enter shows those of {subject.shown}")
            return None
        return subject

    def action_promote(self) -> None:
        """Plan to move an alias to the version."""
        subject = self._version("promote")
        if subject is not None:
            from mcp_tui.tui.screens.modelform import PromoteScreen

            self.app.push_screen(PromoteScreen(subject))

    def action_undo(self) -> None:
        """Plan to take an alias back to where it was before."""
        if not self.console.acting.may_write("undo"):
            return
        subject = self.front_subject()
        if subject is None:
            return
        self.say(f"planning to take back an alias of {subject.shown}")
        self._propose("undo", lambda: self.console.backend.models.plan_undo(subject))

    def _propose(self, what: str, make: Callable[[], Awaitable[Plan]]) -> None:
        self.console.acting.propose(what, make, again=True)

    def action_more(self) -> None:
        """Choose among what else is done with a version."""
        subject = self._version("approve or copy")
        if subject is None:
            return
        from mcp_tui.tui.screens.choose import Choice, ChooseScreen

        choices = (
            Choice("approve", "approve it", why="on record, in your name, for exactly its files"),
            Choice("copy", "copy it to another model", why="of another environment; never twice"),
        )

        def chosen(which: str | None) -> None:
            from mcp_tui.tui.screens.modelform import ApproveScreen, CopyScreen

            if which == "approve":
                self.app.push_screen(ApproveScreen(subject))
            elif which == "copy":
                self.app.push_screen(CopyScreen(subject))

        self.app.push_screen(ChooseScreen(f"what of {subject.words}?", choices), chosen)


class RunPromotes(RunKeys, inherit_bindings=False):
    """Where runs are shown: one is made a version of a model, and promoted."""

    def action_promote_run(self) -> None:
        """Plan to register the run, and to move an alias to it."""
        if not self.console.acting.may_write("promote"):
            return
        runs = self.runs_chosen()
        if len(runs) != 1:
            self.say(f"one run is promoted at a time, and {len(runs)} are marked" if runs
                     else "no run under the cursor")  # fmt: skip
            return
        from mcp_tui.tui.screens.modelform import PromoteScreen

        context, _, run_id = runs[0].rpartition("/")
        self.app.push_screen(PromoteScreen(Subject(context, "", "", run_id=run_id), pane=self.PANE))
