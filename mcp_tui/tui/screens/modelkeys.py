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
        return tuple(
            f"{subject.model}/{subject.version}" for subject in self.chosen() if subject.version
        )

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
        subject = self._version("copy")
        if subject is not None:
            from mcp_tui.tui.screens.modelform import CopyScreen

            self.app.push_screen(CopyScreen(subject))
