"""Everything that the console shows, and the keys that lead there from its first screen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Pane:
    """One view.

    Attributes:
        id: What a test calls it.
        screen: The class of the screen in front.
        keys: What is pressed on the Jobs pane, the cursor on the job in question, by Textual's
            names of keys. One key is pressed after what the one before brought is there.
        ready: A text that is on the screen before the second key is pressed.
        then: A text that is on the screen before the third key is pressed.
        last: A text that is on the screen before the last two keys of many are pressed.
        shown: A text that is on the screen then, and on none of the screens on the way.
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
    shown: str = ""
    ready: str = ""
    then: str = ""
    last: str = ""
    tab: str = ""
    asks: str = ""
    pane: str = "jobs"
    writes: bool = False
    prod: bool = False
    size: tuple[int, int] = (80, 24)

    def behind(self, number: int) -> str:
        """What has to be on the screen after a key of several, before the next is pressed."""
        if number >= len(self.keys) - 1:
            return ""
        known = (self.ready, self.then)
        # What is to be chosen in a list has to be there before the cursor is sent to it.
        late = number >= len(self.keys) - 3
        return known[number] if number < len(known) else self.last * late


_of_runs = partial(Pane, pane="runs", ready="by newest run", then="newest first")
_of_models = partial(Pane, pane="models", ready="\n + ")

PANES: tuple[Pane, ...] = (
    Pane("jobs", "JobsScreen", shown="STATE"),
    Pane("jobs-wide", "JobsScreen", shown="STATE", size=(200, 50)),
    Pane("filter", "JobsScreen", ("slash",), "\n /", asks="filter"),
    Pane("command", "JobsScreen", ("colon",), "\n :", asks="command"),
    Pane("leave", "JobsScreen", ("q",), "leave the console?", asks="leave"),
    Pane("overview", "DetailScreen", ("enter",), "[Overview]", tab="Overview"),
    Pane("pods", "DetailScreen", ("enter", "tab"), "[Pods]", tab="Pods"),
    Pane("events", "DetailScreen", ("enter", "tab", "tab"), "[Events]", tab="Events"),
    Pane("logs", "DetailScreen", ("l",), "[Logs]", tab="Logs"),
    Pane("yaml", "DetailScreen", ("y",), "[YAML]", tab="YAML"),
    Pane("run", "DetailScreen", ("enter", *("tab",) * 5), "[Run]", tab="Run"),
    Pane("run-of-job", "RunScreen", ("o",), "[Overview]", tab="Overview"),
    Pane("describe", "DetailScreen", ("d",), "[Describe]", tab="Describe"),
    Pane("search", "DetailScreen", ("y", "slash"), "\n /", tab="YAML", asks="search"),
    Pane("save", "DetailScreen", ("y", "W"), "save as ", tab="YAML", asks="save"),
    Pane("curves", "CurvesScreen", ("v",), "[Curves]"),
    Pane("curves-wide", "CurvesScreen", ("v", "H"), "[Curves]", ready=" points", size=(200, 50)),
    Pane("curves-points", "ViewScreen", ("v", "d"), "/ points", ready=" points"),
    Pane("compare", "CompareScreen", ("equals_sign",), "[Compare]"),
    Pane(
        "evaluation", "EvaluationScreen", ("equals_sign", "tab"), "[Evaluation]", ready="[Compare]"
    ),
    Pane("scatter", "ScatterScreen", ("v", "shift+tab"), "[Scatter]", ready=" points"),
    Pane("choose-metrics", "ChooseMetrics", ("v", "M"), "space ticks", ready=" points"),
    Pane("choose-logs", "ChooseLogs", ("L",), "whose logs of"),
    Pane("runs", "RunsScreen", ("3",), "EXPERIMENT", pane="runs"),
    Pane("runs-wide", "RunsScreen", ("3",), "EXPERIMENT", pane="runs", size=(200, 50)),
    _of_runs("runs-of", "RunsScreen", ("3", "enter"), "newest first"),
    _of_runs("runs-filter", "RunsScreen", ("3", "slash"), "\n /", asks="filter"),
    *(
        _of_runs(
            f"run-{tab.lower()}",
            "RunScreen",
            ("3", "enter", "enter", *("tab",) * at),
            f"[{tab}]",
            tab=tab,
        )
        for at, tab in enumerate(("Overview", "Params", "Metrics", "Tags", "Artifacts"))
    ),
    _of_runs(
        "artifact",
        "ArtifactScreen",
        ("3", "enter", "enter", "tab", "tab", "tab", "tab", "G", "enter"),
        "/ report",
        last="report",
    ),
    _of_runs("run-edit", "RunsScreen", ("3", "enter", "a"), "run: ", asks="edit", writes=True),
    Pane("help", "HelpScreen", ("question_mark",), "Everywhere"),
    Pane("submit", "SubmitScreen", ("s",), "submit / text", writes=True),
    Pane("submit-form", "SubmitScreen", ("s", "ctrl+t"), "submit / form", writes=True),
    Pane("retry", "RetryScreen", ("t",), "/ retry", writes=True),
    Pane("plan", "ConfirmScreen", ("x",), "checks", writes=True),
    Pane("models", "ModelsScreen", ("4",), "UPDATED", pane="models"),
    Pane("models-wide", "ModelsScreen", ("4",), "UPDATED", pane="models", size=(200, 50)),
    _of_models("model", "ModelScreen", ("4", "d"), "[Overview]", tab="Overview"),
    _of_models("model-history", "ModelScreen", ("4", "h"), "[History]", tab="History"),
    _of_models("model-approvals", "ModelScreen", ("4", "h", "tab"), "[Approvals]", tab="Approvals"),
    _of_models("promote", "PromoteScreen", ("4", "enter", "j", "p"), "/ promote", writes=True),
    _of_models("more", "ChooseScreen", ("4", "enter", "j", "a"), "approve it", writes=True),
    _of_models(
        "approve", "ApproveScreen", ("4", "enter", "j", "a", "enter"), "/ approve", writes=True
    ),
    _of_models("copy", "CopyScreen", ("4", "enter", "j", "a", "j", "enter"), "/ copy", writes=True),
    Pane("shell-plan", "InsideConfirm", ("e",), "checks", writes=True, prod=True),
)
