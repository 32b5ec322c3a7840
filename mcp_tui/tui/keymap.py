"""The one registry of keys: bindings, the keys line, help and the README are made of it.

The same letter means the same thing everywhere. What reads and what writes never share a letter,
no write is a capital, and what terminals and multiplexers keep for themselves is never bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mcp_tui.errors import UsageError

Scope = Literal[
    "all",
    "move",
    "table",
    "tree",
    "job",
    "jobs",
    "runs",
    "models",
    "detail",
    "log",
    "evidence",
    "together",
    "axes",
    "curves",
    "rows",
]

FORBIDDEN: Mapping[str, str] = {
    "ctrl+a": "screen's prefix",
    "ctrl+b": "tmux's prefix",
    "ctrl+s": "flow control",
    "ctrl+q": "flow control",
    "ctrl+z": "job control",
    "ctrl+p": "Docker's detach",
    "~": "ssh's escape",
    "tilde": "ssh's escape",
}
"""Keys left alone, and whose they are."""

ESCAPE_TAILS = frozenset("ABCDFHOPQRS")
"""Letters that end common escape sequences: over a slow line these may arrive alone."""


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of the registry.

    Attributes:
        id: Stable name, used by the configuration.
        keys: Default keys, comma separated, as a person writes them (``?``, ``ctrl+d``).
        action: The method ``action_...`` that it runs.
        scope: Where it is alive.
        kind: ``look`` reads, ``act`` opens a plan.
        title: One or two words for the keys line.
        help: One line for the help screen.
        hint: Order on the keys line; 0 is not shown there.
        hint_on: Kinds of screen (:data:`SCOPES`) on whose keys line it is; empty for all.
    """

    id: str
    keys: str
    action: str
    scope: Scope
    kind: Literal["look", "act"]
    title: str
    help: str
    hint: int = 0
    hint_on: tuple[str, ...] = ()


KEYS: tuple[Key, ...] = (
    Key("open", "enter", "open", "table", "look", "open", "open the object under the cursor", 10),
    Key("back", "escape,q", "back", "all", "look", "back", "go back; at the root, ask to leave"),
    Key("down", "j,down", "move(1)", "move", "look", "down", "one row down"),
    Key("up", "k,up", "move(-1)", "move", "look", "up", "one row up"),
    Key("top", "g,home", "edge(-1)", "move", "look", "first", "to the first row"),
    Key("bottom", "G,end", "edge(1)", "move", "look", "last", "to the last row"),
    Key("half-down", "ctrl+d", "half(1)", "move", "look", "half down", "half a page down"),
    Key("half-up", "ctrl+u", "half(-1)", "move", "look", "half up", "half a page up"),
    Key("page-down", "pagedown", "page(1)", "move", "look", "page down", "a page down"),
    Key("page-up", "pageup", "page(-1)", "move", "look", "page up", "a page up"),
    Key("filter", "/", "filter", "all", "look", "filter", "filter a list, search a text", 60),
    Key("next-match", "n", "match(1)", "log", "look", "next", "next match"),
    Key("previous-match", "N", "match(-1)", "log", "look", "previous", "previous match"),
    Key("go", ":", "command", "all", "look", "go", "type a command; Tab completes", 70),
    Key("help", "?", "help", "all", "look", "all keys", "every key that is alive here", 80),
    Key("mark", "space", "mark", "table", "look", "mark", "mark for an action on several"),
    Key("sort-left", "<", "sort(-1)", "table", "look", "sort", "sort by the column to the left"),
    Key("sort-right", ">", "sort(1)", "table", "look", "sort", "sort by the column to the right"),
    Key("sort-turn", "!", "turn", "table", "look", "reverse", "turn the order round"),
    Key(
        "faults", "f", "faults", "move", "look", "faults", "only what failed, stalls or is an error"
    ),
    Key("all-namespaces", "0", "all_namespaces", "table", "look", "all", "all namespaces"),
    Key("pane-2", "2", "pane('jobs')", "all", "look", "Jobs", "the Jobs pane"),
    Key("pane-3", "3", "pane('runs')", "all", "look", "Runs", "the Runs pane"),
    Key("pane-4", "4", "pane('models')", "all", "look", "Models", "the Models pane"),
    Key("unfold", "right", "unfold", "tree", "look", "unfold", "show what a row holds"),
    Key("fold", "left", "fold", "tree", "look", "fold", "hide what a row holds; go to its holder"),
    Key("tab", "tab", "tab(1)", "detail", "look", "tabs", "next tab", 10),
    Key("tab-back", "shift+tab", "tab(-1)", "detail", "look", "tabs", "tab before"),
    Key("attempt-back", "[", "attempt(1)", "log", "look", "before", "the attempt before"),
    Key("attempt-next", "]", "attempt(-1)", "log", "look", "after", "the attempt after"),
    Key("logs", "l", "logs", "jobs", "look", "logs", "logs, following", 20),
    Key(
        "whose-logs",
        "L",
        "choose_logs",
        "job",
        "look",
        "whose logs",
        "whose logs: all merged, a rank, a pod, a container, the attempt before",
        25,
        ("log", "detail"),
    ),
    Key("describe", "d", "describe", "jobs", "look", "describe", "the object in words"),
    Key("yaml", "y", "yaml", "jobs", "look", "yaml", "the object as YAML"),
    Key("linked", "o", "linked", "jobs", "look", "run", "the linked run"),
    Key("run-job", "o", "linked", "runs", "look", "job", "the job of the run", 20),
    Key("copy", "c", "copy", "all", "look", "copy", "copy name or text to the clipboard"),
    Key("wrap", "w", "wrap", "log", "look", "wrap", "wrap long lines", 30),
    Key("timestamps", "T", "timestamps", "log", "look", "times", "show timestamps"),
    Key("save", "W", "save", "log", "look", "save", "save the text to a file", 40),
    Key(
        "curves",
        "v",
        "curves",
        "evidence",
        "look",
        "curves",
        "the curves of the marked runs, or of the one under the cursor",
        25,
        ("runs", "run", "compare"),
    ),
    Key(
        "compare",
        "=",
        "compare",
        "evidence",
        "look",
        "compare",
        "the marked runs side by side",
        26,
        ("runs", "curves", "scatter"),
    ),
    Key(
        "baseline",
        "b",
        "baseline",
        "evidence",
        "look",
        "baseline",
        "the run under the cursor is what others are held against, or none is",
    ),
    Key(
        "view",
        "tab",
        "view(1)",
        "together",
        "look",
        "views",
        "curves, compare, evaluation, scatter",
        10,
    ),
    Key("view-back", "shift+tab", "view(-1)", "together", "look", "views", "the view before"),
    Key("export", "W", "export", "together", "look", "save", "save what is shown to a file", 60),
    Key("left", "left", "across(-1)", "together", "look", "left", "to the left: cursor or columns"),
    Key("right", "right", "across(1)", "together", "look", "right", "to the right"),
    Key(
        "all",
        "0",
        "all",
        "together",
        "look",
        "all",
        "all of the axis; all rows, or only those that differ",
        50,
        ("curves", "compare"),
    ),
    Key(
        "metrics",
        "M",
        "metrics",
        "together",
        "look",
        "metrics",
        "choose metrics from a list; in compare, the curves of the metric",
        20,
        ("curves", "compare"),
    ),
    Key("x-axis", "X", "x_axis", "axes", "look", "x axis", "by step, wall time, relative time", 30),
    Key("y-axis", "Y", "y_axis", "axes", "look", "y axis", "linear, log, symlog", 31),
    Key("row", "enter", "open", "rows", "look", "row", "all of the row under the cursor", 15),
    Key("scatter", "V", "scatter", "rows", "look", "scatter", "a parameter against a metric", 30),
    Key("smooth", "S", "smooth", "curves", "look", "smooth", "smoother, then not at all", 32),
    Key("zoom-in", "+", "zoom(0.5)", "curves", "look", "closer", "look at half as much", 40),
    Key("zoom-out", "-", "zoom(2.0)", "curves", "look", "wider", "look at twice as much"),
    Key("pan-left", "[", "pan(-0.5)", "axes", "look", "before", "the part before"),
    Key("pan-right", "]", "pan(0.5)", "axes", "look", "after", "the part after"),
    Key(
        "machine", "H", "machine", "curves", "look", "hardware", "GPU and memory below, or not", 45
    ),
    Key("events", "E", "events", "curves", "look", "event files", "TensorBoard's scalars too"),
    Key("points", "d", "points", "together", "look", "in words", "all that is known, in words"),
    Key("refresh", "r", "refresh", "all", "look", "refresh", "ask the sources again now"),
    Key("interrupt", "ctrl+c", "interrupt", "all", "look", "stop", "interrupt; twice quits"),
    Key("submit", "s", "submit", "jobs", "act", "submit", "plan a new job", 30),
    Key("shell", "e", "shell", "jobs", "act", "shell", "plan a shell in a container"),
    Key("retry", "t", "retry", "jobs", "act", "retry", "plan a new try, with changes", 40),
    Key("cancel", "x", "act('cancel')", "jobs", "act", "cancel", "plan to cancel the job", 50),
    Key("hold", "z", "hold", "jobs", "act", "suspend", "plan to suspend, or to resume"),
    Key(
        "reproduce", "s", "reproduce", "runs", "act", "again", "plan a job that makes it again", 30
    ),
    Key("edit-run", "a", "more", "runs", "act", "change", "plan a tag, a name, or the bin", 40),
    Key("delete", "a", "act('delete')", "jobs", "act", "delete", "plan to delete finished jobs"),
    Key(
        "model-detail", "d", "model_detail", "models", "look", "detail", "the model or version", 20
    ),
    Key(
        "alias-history",
        "h",
        "alias_history",
        "models",
        "look",
        "history",
        "who moved its aliases, when and why",
        25,
    ),
    Key("promote", "p", "promote", "models", "act", "promote", "plan to move an alias here", 30),
    Key("undo", "u", "undo", "models", "act", "undo", "plan to take an alias back", 40),
    Key("model-more", "a", "more", "models", "act", "more", "plan to approve it, or a copy", 50),
    Key(
        "promote-run",
        "p",
        "promote_run",
        "runs",
        "act",
        "promote",
        "plan to register the run, and to move an alias to it",
        35,
    ),
)

SCOPES: Mapping[str, tuple[Scope, ...]] = {
    "jobs": ("all", "move", "table", "job", "jobs", "evidence"),
    "experiments": ("all", "move", "table"),
    "runs": ("all", "move", "table", "tree", "runs", "evidence"),
    "run": ("all", "move", "tree", "detail", "log", "runs", "evidence"),
    "detail": ("all", "move", "job", "jobs", "detail", "evidence"),
    "log": ("all", "move", "job", "detail", "log", "evidence"),
    "models": ("all", "move", "table", "tree", "models", "evidence"),
    "model": ("all", "move", "models", "detail", "evidence"),
    "view": ("all", "move", "log"),
    "curves": ("all", "move", "evidence", "together", "axes", "curves"),
    "compare": ("all", "move", "evidence", "together", "rows"),
    "evaluation": ("all", "move", "evidence", "together", "rows"),
    "scatter": ("all", "move", "evidence", "together", "axes"),
    "choose": ("all", "move", "table"),
}
"""Which scopes are alive together on a screen. Writes are dead in logs."""

SCOPE_TITLES: Mapping[Scope, str] = {
    "all": "Everywhere",
    "move": "Moving",
    "table": "In a list",
    "tree": "In a tree",
    "job": "A job's logs",
    "jobs": "Jobs",
    "runs": "Runs",
    "models": "Models",
    "detail": "In the detail",
    "log": "In logs and texts",
    "evidence": "Runs together",
    "together": "In the views of runs together",
    "axes": "In curves and scatter",
    "curves": "In curves",
    "rows": "In compare and evaluation",
}

_SHOWN = {
    "escape": "Esc",
    "enter": "Enter",
    "tab": "Tab",
    "shift+tab": "Shift-Tab",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "home": "Home",
    "end": "End",
    "up": "Up",
    "down": "Down",
    "left": "Left",
    "right": "Right",
}
_NAMES = {"esc": "escape", "pgdn": "pagedown", "pgup": "pageup", "return": "enter"}


def normalise(keys: str) -> tuple[str, ...]:
    """Keys as a person writes them (``Ctrl-D, esc``), one by one, in the registry's form."""
    found: list[str] = []
    for part in keys.split(",") if keys.strip() != "," else [","]:
        key = part.strip()
        if len(key) > 1:
            key = key.lower().replace("ctrl-", "ctrl+").replace("shift-", "shift+")
            key = _NAMES.get(key, key)
        if key:
            found.append(key)
    return tuple(found)


def shown(key: str) -> str:
    """A key as the screen writes it."""
    return _SHOWN.get(key, key.replace("ctrl+", "ctrl-"))


def _alive_together(a: Scope, b: Scope) -> bool:
    return a == b or any(a in scopes and b in scopes for scopes in SCOPES.values())


class KeyMap:
    """The registry with a user's own keys in it.

    Args:
        overrides: Action id to keys, comma separated.

    Raises:
        UsageError: An unknown id, a key left to the terminal, a write on a letter that an escape
            sequence may leave behind or on a capital, or two actions on one key: it says which.
    """

    def __init__(self, overrides: Mapping[str, str] | None = None) -> None:
        overrides = overrides or {}
        known = {key.id for key in KEYS}
        for name in overrides:
            if name not in known:
                raise UsageError(
                    f"no action is called {name}",
                    where=f"keys.{name}",
                    hint="the help screen and the README list them",
                )
        self.keys = tuple(
            replace(key, keys=",".join(normalise(overrides[key.id])))
            if key.id in overrides
            else key
            for key in KEYS
        )
        self.overrides = {k.id: k.keys for k in self.keys if k.id in overrides}
        self._check()

    def _check(self) -> None:
        taken: list[tuple[str, Key]] = []
        # Those that a user moved come last, so that the clash is laid at their door.
        for key in sorted(self.keys, key=lambda key: key.id in self.overrides):
            names = normalise(key.keys)
            if not names:
                raise UsageError("no key given", where=f"keys.{key.id}")
            for name in names:
                if name in FORBIDDEN:
                    raise UsageError(
                        f"{shown(name)} is left alone: it is {FORBIDDEN[name]}",
                        where=f"keys.{key.id}",
                    )
                if key.kind == "act" and len(name) == 1 and not name.islower():
                    raise UsageError(
                        f"{name} cannot start {key.title}: writes are lower-case letters only",
                        where=f"keys.{key.id}",
                    )
                for other_name, other in taken:
                    if not _clash(name, key, other_name, other):
                        continue
                    raise UsageError(
                        f"{shown(name)} is already {other.id} ({other.help})",
                        where=f"keys.{key.id}",
                        hint=f"rebind keys.{other.id} as well, or choose another key",
                    )
                taken.append((name, key))

    def get(self, key_id: str) -> Key:
        """The entry of an id; KeyError when there is none."""
        return next(key for key in self.keys if key.id == key_id)

    def label(self, key_id: str) -> str:
        """The first key of an action, as the screen writes it."""
        return shown(normalise(self.get(key_id).keys)[0])

    def alive(self, screen: str) -> tuple[Key, ...]:
        """The keys alive on a kind of screen (:data:`SCOPES`)."""
        return tuple(key for key in self.keys if key.scope in SCOPES[screen])

    def hints(self, screen: str, *, read_only: bool = False) -> tuple[tuple[str, str], ...]:
        """Key and title for the keys line, in order; writes are left out when read-only."""
        alive = [
            key
            for key in self.alive(screen)
            if key.hint
            and screen in (key.hint_on or (screen,))
            and not (read_only and key.kind == "act")
        ]
        return tuple((self.label(k.id), k.title) for k in sorted(alive, key=lambda k: k.hint))


def _clash(name: str, key: Key, other_name: str, other: Key) -> bool:
    """Whether two entries may not both have their key."""
    if key.id == other.id:
        return name == other_name
    if name == other_name:
        return _alive_together(key.scope, other.scope) or key.kind != other.kind
    # A write must not be a shift away from another write, nor reading one from a write's capital.
    return key.kind == other.kind == "act" and name.lower() == other_name.lower()


def markdown_table(keymap: KeyMap | None = None) -> Iterable[str]:
    """The keys as lines of a Markdown table for the README."""
    keymap = keymap or KeyMap()
    yield "| where | key | what | id |"
    yield "| --- | --- | --- | --- |"
    for scope, title in SCOPE_TITLES.items():
        for key in (k for k in keymap.keys if k.scope == scope):
            labels = " ".join(f"`{shown(n)}`" for n in normalise(key.keys)).replace("|", "\\|")
            what = key.help + (" (opens a plan)" if key.kind == "act" else "")
            yield f"| {title} | {labels} | {what} | {key.id} |"
