"""What the console's keys and commands plan, and what of it still goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from textual.worker import Worker, WorkerError

from mcp_tui.domain.plan import Plan, Verb
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.model import PaneModel
from mcp_tui.tui.screens.frame import FrameScreen

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console

_PLANNING: Final = 30.0
"""Seconds that a plan may take."""

_ENDING: Final = 15.0
"""Seconds for ending what is begun: somewhat more than the actions give themselves."""

_APPLY: Final = "apply"

_RERUNS: Final = 20
"""Runs whose submission, as it was left, is kept."""


@dataclass(slots=True)
class Draft:
    """A submission that is being written.

    Attributes:
        begun: What it begins with, where that is not the example.
        text: What was typed so far; empty before that, and once it was all taken away.
        unwritten: Of its form, by field, what cannot be written into the text.
    """

    begun: str = ""
    text: str = ""
    unwritten: dict[str, str] = field(default_factory=dict)


class Acting:
    """Opens plans; each write begins here.

    Args:
        console: Whose.

    Attributes:
        leaving: Whether the console is being left; what is told then has no dialog any more.
        last_words: What to say once the screen is gone, a line each.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pending: dict[str, tuple[str, float]] = {}
        self.leaving = False
        self.last_words: list[str] = []
        self.draft = Draft()
        self._reruns: dict[str, Draft] = {}
        self.as_form = False
        self.drafts: dict[tuple[str, ...], dict[str, str]] = {}

    def apply(self, work: Coroutine[Any, Any, None]) -> None:
        """Let an applied plan go on, whatever becomes of its dialog."""
        self._console.run_worker(work, group=_APPLY, exit_on_error=False)

    def applying(self) -> list[Worker[Any]]:
        """Plans that are being applied."""
        workers = self._console.workers
        return [each for each in workers if each.group == _APPLY and not each.is_finished]

    async def interrupt(self) -> None:
        """End what is being applied in order; what became of it is in :attr:`last_words`."""
        applying = self.applying()
        for each in applying:
            each.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDING):
                for each in applying:
                    with suppress(WorkerError):
                        await each.wait()

    def submit(self, draft: Draft | None = None) -> None:
        """Open the submit editor, with a draft or with what was left in it last."""
        if self.may_write("submit"):
            from mcp_tui.tui.screens.submit import SubmitScreen

            self._console.push_screen(SubmitScreen(self.draft if draft is None else draft))

    def rerun(self, run: str, config: str) -> None:
        """Open the submit editor with what makes a run again, or with what was made of that."""
        draft = self._reruns.pop(run, None) or Draft(config)
        self._reruns[run] = draft
        if len(self._reruns) > _RERUNS:
            del self._reruns[next(iter(self._reruns))]
        self.submit(draft)

    def retry(self, keys: Sequence[str], model: PaneModel) -> None:
        """Open the form of a retry."""
        if not self.may_write("retry"):
            return
        if not keys:
            self._console.say("nothing under the cursor")
        elif len(keys) > 1:
            self._console.say(f"one job is retried at a time, and {len(keys)} are marked")
        else:
            from mcp_tui.tui.screens.retry import RetryScreen

            self._console.push_screen(RetryScreen(keys[0], model))

    def plan(
        self,
        verb: Verb,
        keys: Sequence[str],
        model: PaneModel,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        """Plan a verb on objects, then show the plan."""
        if not self.may_write(verb.value):
            return
        if not keys:
            self._console.say("nothing under the cursor")
            return
        hidden = sum(1 for key in keys if model.index_of(key) is None)
        self._console.say(
            f"planning to {verb.value} {model.name_of(keys[0])}"
            + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
        )
        self.propose(
            verb.value,
            lambda: self._console.backend.actions.plan(verb, keys, changes),
            hidden=hidden,
        )

    def propose(
        self,
        what: str,
        make: Callable[[], Awaitable[Plan]],
        *,
        hidden: int = 0,
        then: Callable[[bool | None], None] | None = None,
        again: bool = False,
    ) -> None:
        """Have a plan made, with its checks, and show it; one at a time.

        Args:
            what: The verb, for what is said when there is no plan.
            make: Makes the plan; McpTuiError where it cannot be.
            hidden: How many of its objects the filter hides.
            then: Told whether it was sent, once the dialog is closed.
            again: Have it made and asked anew when what it is about changed before the yes.
        """
        self._console.run_worker(
            self._plan(what, make, hidden, then, again),
            group="plan",
            exclusive=True,
            exit_on_error=False,
        )

    async def _plan(
        self,
        what: str,
        make: Callable[[], Awaitable[Plan]],
        hidden: int,
        then: Callable[[bool | None], None] | None,
        again: bool,
    ) -> None:
        try:
            async with within(_PLANNING, f"no plan to {what}", hint="nothing was sent"):
                plan = await make()
        except McpTuiError as error:
            self._console.say(error.line(), "error")
            return
        self.show_plan(plan, hidden=hidden, then=then, again=make if again else None)

    def show_plan(
        self,
        plan: Plan,
        *,
        hidden: int = 0,
        then: Callable[[bool | None], None] | None = None,
        again: Callable[[], Awaitable[Plan]] | None = None,
    ) -> None:
        """Show a plan and ask.

        Args:
            plan: With its checks made.
            hidden: How many of its objects the filter hides.
            then: Told whether it was sent, once the dialog is closed.
            again: Makes it anew when what it is about changed before the yes.
        """
        from mcp_tui.tui.screens.confirm import ConfirmScreen

        if isinstance(self._console.screen, FrameScreen):
            self._console.screen.hush()
        self._console.push_screen(ConfirmScreen(plan, hidden=hidden, again=again), then)

    def may_write(self, what: str) -> bool:
        """Whether writes are possible; says why not."""
        if not self._console.ready:
            failed = self._console.backend.pane("jobs").phase == "broken"
            self._console.say("nothing was started" if failed else "still loading")
            return False
        if self._console.state.read_only:
            self._console.say(f"read-only: {what} is refused here", "error")
            return False
        return True

    def pending_line(self) -> str:
        """Actions that are under way though their dialog was left."""
        now = self._console.state.now
        return "   ".join(
            f"{text}: unproven {max(0, int(now - since))} s"
            for text, since in self._pending.values()
        )

    def set_pending(self, plan_id: str, text: str | None) -> None:
        """Say on the keys line that an action goes on, or (None) that it ended."""
        if text is None:
            self._pending.pop(plan_id, None)
        else:
            self._pending[plan_id] = (text, self._console.state.now)
        self._console.apply_change()
