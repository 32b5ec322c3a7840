"""The keys that change runs, or make them again: each opens a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_tui.domain.editwords import VERBS, edits_of
from mcp_tui.errors import McpTuiError, UsageError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.runkeys import RunKeys
from mcp_tui.tui.widgets.prompt import Ask

_DEADLINE: Final = 20.0
_OFFERS: Final = ("tag ", "rename ", "delete", "restore")


class RunActs(RunKeys, inherit_bindings=False):
    """Tags, names, the bin, and a run made again."""

    _subject: tuple[str, ...] = ()

    def action_more(self) -> None:
        """Ask what is to be changed."""
        runs = self.runs_chosen()
        if not self.console.acting.may_write("a change to runs"):
            return
        if not runs:
            self.say("no run under the cursor")
            return
        self._subject = runs
        what = "this run" if len(runs) == 1 else f"{len(runs)} runs"
        self.ask(Ask("edit", f"{what}: "), completer=_completions)

    def answering(self, ask: Ask, text: str) -> None:
        """Say what is wrong as soon as a verb is complete."""
        if ask.mode != "edit":
            super().answering(ask, text)
            return
        verb, blank, _ = text.partition(" ")
        if blank and verb not in VERBS:
            self.prompt.say(f"one of {', '.join(VERBS)}")

    def answer(self, ask: Ask, text: str) -> None:
        """Plan the change."""
        if ask.mode != "edit":
            super().answer(ask, text)
            return
        try:
            edits_of(text)
        except UsageError as error:
            self.prompt.say(error.line())
            return
        self.stop_asking()
        runs = self._subject
        self.console.acting.propose(
            text.split(maxsplit=1)[0],
            lambda: self.console.backend.run_actions.plan_edit(runs, text),
            then=lambda _: self.console.refresh_quietly(),
        )

    def action_reproduce(self) -> None:
        """The submit editor with what makes the run again."""
        runs = self.runs_chosen()
        if not self.console.acting.may_write("submit"):
            return
        if len(runs) != 1:
            self.say("one run is made again at a time" if runs else "no run under the cursor")
            return
        self.say("reading what made the run")
        self.run_worker(self._reproduce(runs[0]), group="reproduce", exit_on_error=False)

    async def _reproduce(self, key: str) -> None:
        try:
            async with within(_DEADLINE):
                text = await self.console.backend.run_actions.config_of(key)
        except McpTuiError as error:
            self.say(error.line(), "error")
            return
        self.hush()
        self.console.acting.rerun(key, text)


def _completions(text: str) -> Sequence[str]:
    return [offer for offer in _OFFERS if offer.startswith(text) and offer != text]
