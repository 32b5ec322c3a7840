"""Everything that the console shows, and the keys that lead there from its first screen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pane:
    """One view.

    Attributes:
        id: What a test calls it.
        screen: The class of the screen in front.
        keys: What is pressed on the Jobs pane, the cursor on the job in question, by Textual's
            names of keys. One key is pressed after what the one before brought is there.
        tab: The tab in front, on a detail.
        asks: What the prompt asks for; empty where it is closed.
        pane: The pane that it belongs to (an id of ``mcp_tui.tui.model.PANES``).
        writes: It is there only where one may write: on the way to a plan.
        prod: It is there only on a context of tier prod.
        size: Columns and lines that it needs.
    """

    id: str
    screen: str
    keys: tuple[str, ...] = ()
    tab: str = ""
    asks: str = ""
    pane: str = "jobs"
    writes: bool = False
    prod: bool = False
    size: tuple[int, int] = (80, 24)


PANES: tuple[Pane, ...] = (
    Pane("jobs", "JobsScreen"),
    Pane("jobs-wide", "JobsScreen", size=(200, 50)),
    Pane("filter", "JobsScreen", ("slash",), asks="filter"),
    Pane("command", "JobsScreen", ("colon",), asks="command"),
    Pane("leave", "JobsScreen", ("q",), asks="leave"),
    Pane("overview", "DetailScreen", ("enter",), tab="Overview"),
    Pane("pods", "DetailScreen", ("enter", "tab"), tab="Pods"),
    Pane("events", "DetailScreen", ("enter", "tab", "tab"), tab="Events"),
    Pane("logs", "DetailScreen", ("l",), tab="Logs"),
    Pane("yaml", "DetailScreen", ("y",), tab="YAML"),
    Pane("run", "DetailScreen", ("o",), tab="Run"),
    Pane("describe", "DetailScreen", ("d",), tab="Describe"),
    Pane("search", "DetailScreen", ("y", "slash"), tab="YAML", asks="search"),
    Pane("save", "DetailScreen", ("y", "W"), tab="YAML", asks="save"),
    Pane("choose-logs", "ChooseLogs", ("L",)),
    Pane("help", "HelpScreen", ("question_mark",)),
    Pane("submit", "SubmitScreen", ("s",), writes=True),
    Pane("submit-form", "SubmitScreen", ("s", "ctrl+t"), writes=True),
    Pane("retry", "RetryScreen", ("t",), writes=True),
    Pane("plan", "ConfirmScreen", ("x",), writes=True),
    Pane("shell-plan", "InsideConfirm", ("e",), writes=True, prod=True),
)
