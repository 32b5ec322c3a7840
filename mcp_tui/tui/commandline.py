"""The ``:`` commands as the console carries them out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.screen import Screen

from mcp_tui.domain.plan import Verb
from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError
from mcp_tui.tui import commands, scarce
from mcp_tui.tui.screens.frame import FrameScreen

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console


class CommandLine:
    """Carries out what was typed behind ``:``.

    Args:
        console: Whose.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def complete(self, line: str) -> list[str]:
        """What ``:`` completes."""
        pane = self._console.pane
        return commands.complete(
            line,
            contexts=self._console.backend.contexts(),
            namespaces=self._console.backend.namespaces(),
            values=pane.column_names() if pane is not None else (),
            columns=[c.id for c in pane.model.columns if c.sortable] if pane is not None else (),
        )

    def run(self, line: str) -> None:
        """Run a ``:`` command."""
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if not word:
            return
        command = commands.find(word)
        if command is None:
            self._console.say(commands.unknown(one_line(word)), "error")
            return
        carry_out = getattr(self, f"_{command.name}")
        with scarce.Said(lambda text: self._console.say(text, "error")):
            carry_out(rest)

    def _jobs(self, rest: str) -> None:
        self._pane("jobs", rest)

    def _runs(self, rest: str) -> None:
        self._pane("runs", rest)

    def _models(self, rest: str) -> None:
        self._pane("models", rest)

    def _pane(self, name: str, rest: str) -> None:
        self._console.show_pane(name)
        if rest:
            self._filter(rest)

    def _to_the_list(self) -> None:
        """Leave what is open above the pane: it is of what was looked at before."""
        if self._console.pane is not None:
            self._console.show_pane(self._console.pane.PANE)

    def _filter(self, rest: str) -> None:
        if self._console.pane is not None:
            error = self._console.pane.set_filter(rest)
            if error:
                self._console.say(error, "error")

    def _sort(self, rest: str) -> None:
        pane = self._console.pane
        if pane is None:
            return
        own = pane.model.own_order.removeprefix("by ")
        column = "" if rest in {"", "urgency", own} else rest
        known = {c.id for c in pane.model.columns if c.sortable}
        if column and column not in known:
            self._console.say(
                f"no column {one_line(rest)}; one of {', '.join(sorted(known))}", "error"
            )
            return
        pane.model.set_sort(column, False)
        pane.sync()

    def _columns(self, rest: str) -> None:
        if self._console.pane is not None:
            self._console.pane.choose_columns(rest)

    def _deleted(self, rest: str) -> None:
        del rest
        if self._console.pane is not None:
            self._console.pane.show_deleted()

    def _theme(self, rest: str) -> None:
        try:
            self._console.set_palette(rest)
        except McpTuiError as error:
            self._console.say(error.what + "; " + error.hint, "error")
            return
        for screen in self._console.screen_stack:
            for widget in screen.walk_children():
                widget.refresh()
            if isinstance(screen, FrameScreen):
                screen.sync()

    def _ctx(self, rest: str) -> None:
        names = [name.strip() for name in rest.split(",") if name.strip()]
        known = set(self._console.backend.contexts())
        missing = [name for name in names if known and name not in known]
        if not names:
            self._console.say(f"contexts: {', '.join(sorted(known)) or 'none'}")
        elif missing:
            self._console.say(f"no context {one_line(missing[0])}; Tab lists them", "error")
        else:
            self._to_the_list()
            self._console.spawn(
                self._console.backend.switch_context(names), f"switching to {','.join(names)}"
            )

    def _ns(self, rest: str) -> None:
        self._to_the_list()
        self._console.set_namespace(None if rest in {"", "all", "*"} else rest)

    def _submit(self, rest: str) -> None:
        del rest
        self._console.acting.submit()

    def _retry(self, rest: str) -> None:
        changes: dict[str, str] = {}
        for part in rest.split():
            name, equals, value = part.partition("=")
            if not equals or not name or not value:
                self._console.say(f"not a change: {one_line(part)}; write memory=128Gi", "error")
                return
            changes[name] = value
        front: Screen[object] = self._console.screen
        subject = getattr(front, "subject", None)
        if subject is None or self._console.pane is None:
            self._console.say("nothing to retry here")
            return
        self._console.acting.plan(Verb.RETRY, subject(), self._console.pane.model, changes)

    def _forward(self, rest: str) -> None:
        front: Screen[object] = self._console.screen
        place = getattr(front, "place", None)
        self._console.inside.forward(rest, place() if place is not None else None)

    def _curves(self, rest: str) -> None:
        self._together("curves", rest)

    def _compare(self, rest: str) -> None:
        self._together("compare", rest)

    def _eval(self, rest: str) -> None:
        self._together("evaluation", rest)

    def _scatter(self, rest: str) -> None:
        self._together("scatter", rest)

    def _together(self, view: str, rest: str) -> None:
        """Look at the runs that are named, or at those that are chosen on the screen."""
        from mcp_tui.tui.runkeys import RunKeys
        from mcp_tui.tui.screens.together import Looked, Together, show

        words = rest.split()
        against = next((w[8:] for w in words if w.startswith("against=")), "")
        runs, others = _runs_and_metrics(w for w in words if not w.startswith("against="))
        front: Screen[object] = self._console.screen
        if others and view != "curves":
            # Left out silently, fewer runs would be shown than were asked for.
            self._console.say(f"{one_line(others[0])} names no run; {_NAMES_A_RUN}", "error")
        elif runs:
            metrics = others if view == "curves" else ()
            show(self._console, view, Looked(runs, metrics=metrics, baseline=against))
        elif isinstance(front, Together):
            front.turn_to(view, metrics=others, baseline=against)
        elif isinstance(front, RunKeys):
            front.look_at(view, metrics=others, baseline=against)
        else:
            self._console.say(f"name a run; {_NAMES_A_RUN}", "error")

    def _unmark(self, rest: str) -> None:
        del rest
        if self._console.pane is not None:
            self._console.pane.table.clear_marks()
            self._console.pane.update_frame()

    def _refresh(self, rest: str) -> None:
        del rest
        self._console.refresh_sources()

    def _help(self, rest: str) -> None:
        del rest
        if isinstance(self._console.screen, FrameScreen):
            self._console.screen.action_help()

    def _q(self, rest: str) -> None:
        del rest
        self._console.leave()


_NAMES_A_RUN = "by six or more of its digits, NAME/VERSION or NAME@ALIAS"

# The beginning of an id has a number in it: so that a metric may be called by letters alone.
_REFERENCE = re.compile(
    r"(?:.+/)?(?:[0-9a-fA-F]{32}|(?=[a-fA-F]*[0-9])[0-9a-fA-F]{6,31})|.+/[0-9]+|.+@[^/@]+"
)


def _runs_and_metrics(given: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What of some words names runs, and what is left: metrics."""
    words = tuple(given)
    runs = dict.fromkeys(word for word in words if _REFERENCE.fullmatch(word))
    return tuple(runs), tuple(dict.fromkeys(word for word in words if word not in runs))
