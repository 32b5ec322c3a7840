"""What the screens need of the rest, as protocols: the shell is built and tested against these.

Everything here is plain data. The shell asks a :class:`PaneModel` for the rows on screen and a
:class:`ConsoleBackend` for everything else; it never calls a client and knows no server. All
strings are already sanitised where they entered; the widgets clean them once more as they draw.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from mcp_tui.domain.plan import Outcome, Plan, Tier, Verb

if TYPE_CHECKING:
    from mcp_tui.tui.model_models import ModelsBackend
    from mcp_tui.tui.model_runs import RunActions, RunDetails

Tone = Literal[
    "",
    "strong",
    "dim",
    "failed",
    "attention",
    "waiting",
    "running",
    "done",
    "accent",
    "key",
    "heading",
    "error",
]
"""The part a piece of text plays; a theme gives it a colour. Never the only carrier of meaning."""

Phase = Literal["loading", "ready", "broken"]


class Cell(NamedTuple):
    """A piece of text on one line and the part it plays."""

    text: str
    tone: Tone = ""


Line = tuple[Cell, ...]
"""One line of a detail, preview or viewer."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        id: Stable name, used for sorting.
        title: Heading, in capitals.
        min_width: Cells it needs to be shown at all.
        max_width: Cells it takes where there is room; 0 takes all that is left (one such column).
        align: Where the text stands.
        priority: The lower goes last when the screen narrows; 0 never goes.
        kind: ``state`` draws the row's sign before the word; ``name`` is cut in its middle, so that
            the end, which tells two objects apart, stays.
        sortable: Offered by the sort keys.
        comfort: Cells it has before columns of priority 5 and more come in.
        short: The heading where the whole one does not fit.
    """

    id: str
    title: str
    min_width: int
    max_width: int
    align: Literal["left", "right"] = "left"
    priority: int = 0
    kind: Literal["text", "state", "name"] = "text"
    sortable: bool = True
    comfort: int = 0
    short: str = ""


@dataclass(frozen=True, slots=True)
class RowView:
    """One row, ready to draw.

    Attributes:
        key: Identity of the object; the cursor and marks follow it.
        cells: One for each column of the model, in its order.
        state: ``failed``, ``stalled``, ``waiting``, ``suspended``, ``running`` or ``done``.
        stale: Its source does not answer: drawn dimmed, in its place.
    """

    key: str
    cells: tuple[Cell, ...]
    state: str = ""
    stale: bool = False


class PaneModel(Protocol):
    """One live list: filtered, sorted and lazily indexable. Synchronous, cheap, no I/O."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those that make sense now (CONTEXT only with several); rows have a cell for each."""

    @property
    def version(self) -> int:
        """Grows with every change of the shown rows."""

    @property
    def count(self) -> int:
        """Rows that pass the filter."""

    @property
    def total(self) -> int:
        """Rows before the filter."""

    @property
    def summary(self) -> str:
        """Counts for the crumbs line: ``1,204 jobs  18 failed  7 waiting``."""

    @property
    def phase(self) -> Phase:
        """Whether there is anything to show yet, or ever."""

    @property
    def note(self) -> tuple[str, ...]:
        """Lines shown in place of rows: why there are none, what is waited for, what is broken."""

    @property
    def sort(self) -> tuple[str, bool]:
        """The column id (empty: the pane's own order) and whether it is reversed."""

    @property
    def own_order(self) -> str:
        """The pane's own order in words: ``by urgency``."""

    @property
    def filter(self) -> str:
        """The filter in force: the last one without an error."""

    def row(self, index: int) -> RowView:
        """The row at ``index`` in 0..count-1."""

    def index_of(self, key: str) -> int | None:
        """Where ``key`` stands among the shown rows, or None when it is hidden or gone."""

    def exists(self, key: str) -> bool:
        """Whether the object is there at all, hidden or not."""

    def name_of(self, key: str) -> str:
        """What a person calls it: ``namespace/name``, or the last known one."""

    def set_filter(self, text: str) -> str:
        """Filter the rows; empty shows all. Returns an error in words, and changes nothing then."""

    @property
    def faults(self) -> bool:
        """Whether only rows that failed or stall are shown, on top of the filter."""

    def set_faults(self, on: bool) -> None:
        """Show only what failed or stalls, or all again."""

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """Sort by a column; an empty id restores the pane's own order."""


class JobsList(PaneModel, Protocol):
    """The list of jobs, which also knows the rows that it does not show."""

    def row_of(self, key: str) -> RowView | None:
        """The row of a job, hidden or not; None when the job is gone."""


SourceWord = Literal["connecting", "live", "polling", "stale", "retrying", "denied", "down"]


@dataclass(frozen=True, slots=True)
class SourceState:
    """Health of one source, for the bar.

    Attributes:
        name: ``k8s``, ``mlflow``, ``prometheus``; with the context where there are several.
        state: ``live`` is quiet; the others are said in words.
        age: Seconds since it last spoke, or None when it never did.
        message: The server's own words when it is not healthy.
        retry_in: Seconds until it is tried again, or None.
    """

    name: str
    state: SourceWord
    age: float | None = None
    message: str = ""
    retry_in: float | None = None


@dataclass(frozen=True, slots=True)
class ConsoleState:
    """What the frame shows. ``now`` is epoch seconds: the shell never reads a clock for data."""

    now: float
    contexts: tuple[str, ...] = ()
    cluster: str = ""
    tier: Tier = Tier.DEV
    user: str = ""
    namespace: str | None = None
    read_only: bool = False
    sources: tuple[SourceState, ...] = ()
    demo: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log: ``at`` is epoch seconds or None, ``source`` the pod or rank.

    One with a ``tone`` is said of the log: why nothing more of it can be read.
    """

    text: str
    at: float | None = None
    source: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What a log view asks for.

    Attributes:
        pod: One pod, or empty for all of the job, merged.
        container: One container, or empty for the main one.
        previous: The attempt before (0 is the newest).
        tail: Lines asked for at first.
        rank: The pods of one rank, or None for all.
    """

    pod: str = ""
    container: str = ""
    previous: int = 0
    tail: int = 5_000
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class PodLine:
    """One line of the tree job -> replicas -> pods -> containers.

    Attributes:
        pod: Whose line it is, or in whose pod; empty above the pods.
        container: Whose line it is; empty for a pod's own.
        rank: The pod's place among its peers, where it has one.
        restarts: Of the container, or of the pod's all.
    """

    depth: int
    text: str
    state: str = ""
    why: str = ""
    pod: str = ""
    container: str = ""
    rank: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a form.

    Attributes:
        id: Stable name.
        label: What stands before it.
        value: What it begins with.
        hint: What it is for, or what is advised; shown while it is in front.
        fixed: Why it cannot be changed here; empty where it can.
    """

    id: str
    label: str
    value: str = ""
    hint: str = ""
    fixed: str = ""


class DetailProvider(Protocol):
    """What the detail screen fetches, each part only when it is looked at.

    Every method may raise :class:`~mcp_tui.errors.McpTuiError`: the part shows its line in place.
    Cancelling the task cancels the call.
    """

    async def overview(self, key: str) -> Sequence[Line]:
        """The causal chain in plain words, spec, times with their zone, commit, image, run."""

    async def preview(self, key: str) -> Sequence[Line]:
        """A few lines for the wide screen: cause, memory, commit, newest log lines, next keys."""

    async def pods(self, key: str) -> Sequence[PodLine]:
        """The tree, depth first."""

    async def events(self, key: str) -> Sequence[Line]:
        """Events, newest first."""

    async def yaml(self, key: str) -> str:
        """The object as YAML, without managedFields."""

    async def describe(self, key: str) -> str:
        """The object in words, as ``kubectl describe`` would."""

    async def run(self, key: str) -> Sequence[Line]:
        """The linked MLflow run: its newest metrics, parameters and where to find it."""

    def logs(self, key: str, options: LogOptions) -> AsyncIterator[Sequence[LogLine]]:
        """Batches of log lines, oldest first, without end while the job runs."""


@runtime_checkable
class Terminals(Protocol):
    """What a backend's details may also offer: shells in containers, forwarded ports.

    Empty ``pod`` and ``container`` are the main container of the job's first pod that runs. Each
    method that is awaited may raise McpTuiError: refused, or the pod is gone.
    """

    async def plan_shell(self, key: str, pod: str, container: str) -> Plan:
        """Plan a shell, with its checks made. Opens nothing."""

    async def shell(self, plan: Plan) -> str:
        """Run a planned shell on this process's terminal until it ends.

        The screen is given over: meanwhile the terminal is the shell's, and cooked at first.

        Returns:
            What to say afterwards, in a line.
        """

    async def plan_forward(self, key: str, pod: str, local: int, remote: int) -> Plan:
        """Plan a forwarded port, with its checks made; a local port 0 is any free one."""

    async def forward(self, plan: Plan, say: Callable[[str], None]) -> str:
        """Begin a planned forward, which ends with the console, its pod, or when it is stopped.

        Args:
            say: Told, a line each, what goes wrong with it and that it ended.

        Returns:
            Which local port leads where.
        """

    def forwards(self) -> Sequence[str]:
        """The forwards under way: ``8080>80``."""

    async def stop_forwards(self, port: int = 0) -> int:
        """End the forward of a local port, or (0) all; returns how many there were."""


class Actions(Protocol):
    """The one path of a write. Each method may raise McpTuiError."""

    async def plan(
        self,
        verb: Verb,
        keys: Sequence[str],
        changes: Mapping[str, str] | None = None,
        *,
        with_run: bool = True,
    ) -> Plan:
        """Plan a verb on objects of one context, with its checks made. Sends nothing that writes.

        Args:
            verb: What to do.
            keys: The objects, in the order of the list.
            changes: For a retry: field to new value, such as ``memory: 128Gi``; UsageError has the
                field in ``where`` if it is wrong.
            with_run: For a retry: make an MLflow run; UnreachableError where MLflow cannot be
                asked.
        """

    async def retry_fields(self, key: str) -> Sequence[FormField]:
        """What a retry of an object may change, filled in with what the object has."""

    async def plan_submit(self, text: str, *, with_run: bool = True) -> Plan:
        """Plan a submission of a train config; UsageError carries line and column in ``where``.

        Args:
            text: The train config.
            with_run: Make an MLflow run; UnreachableError where MLflow cannot be asked.
        """

    def example(self) -> str:
        """A documented train config to start from."""

    async def apply(self, plan: Plan, progress: Callable[[str], None]) -> Sequence[Outcome]:
        """Apply a plan and wait for its proof; ``progress`` is told one line at a time."""


class ConsoleBackend(Protocol):
    """What ties it together; implemented over store, sources and actions."""

    @property
    def details(self) -> DetailProvider:
        """Parts of an object, fetched when looked at."""

    @property
    def actions(self) -> Actions:
        """Plans and writes."""

    @property
    def run_details(self) -> RunDetails:
        """Parts of a run, fetched when looked at."""

    @property
    def models(self) -> ModelsBackend:
        """What the Models pane shows and plans."""

    @property
    def run_actions(self) -> RunActions:
        """Plans about runs."""

    def state(self) -> ConsoleState:
        """The frame's contents, now. Cheap."""

    def pane(self, name: str) -> PaneModel:
        """The model of a pane that exists (:data:`PANES`)."""

    def contexts(self) -> Sequence[str]:
        """Names that ``:ctx`` completes."""

    def namespaces(self) -> Sequence[str]:
        """Names that ``:ns`` completes: those seen so far."""

    def begin(self) -> None:
        """Ask the servers, in the background: there may be no screen yet. Raises nothing."""

    async def start(self, on_change: Callable[[], None]) -> None:
        """Begin, if that is not done, and tell; called after the first paint.

        McpTuiError where there is nothing to show. ``on_change`` may be called at any rate, from
        the event loop's thread: the shell draws at most once a frame.
        """

    async def stop(self) -> None:
        """End everything that was started; bounded to a second or two."""

    async def switch_context(self, names: Sequence[str]) -> None:
        """Look at these contexts instead. Returns at once; what is slow shows as connecting."""

    async def switch_namespace(self, namespace: str | None) -> None:
        """Look at one namespace, or at all (None)."""

    async def refresh(self) -> None:
        """Ask the sources that poll to do so now."""

    def attend(self) -> None:
        """Somebody is at the keys: what is silent is looked at sooner."""

    def key(self) -> None:
        """A key came: what is not about it waits for its frame."""

    def focus(self, key: str | None) -> None:
        """The object under the cursor after a short rest: fetch what its preview needs."""

    def visible(self, keys: Sequence[str]) -> None:
        """The rows on screen changed: causes are looked up for these only."""

    def front(self, pane: str) -> None:
        """The pane that is looked at now: what others show may wait until they are."""


@dataclass(frozen=True, slots=True)
class PaneInfo:
    """A pane in the panes line.

    Attributes:
        id: What commands, models and screens call it.
        number: The key that leads to it.
        title: What the panes line calls it.
        screen: Module and class of its screen, imported when it is first looked at.
    """

    id: str
    number: int
    title: str
    screen: str


PANES: tuple[PaneInfo, ...] = (
    PaneInfo("jobs", 2, "Jobs", "mcp_tui.tui.panes.jobs:JobsScreen"),
    PaneInfo("runs", 3, "Runs", "mcp_tui.tui.panes.runs:RunsScreen"),
    PaneInfo("models", 4, "Models", "mcp_tui.tui.panes.models:ModelsScreen"),
)
"""Panes that exist; the numbers of those that do not stay free."""


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """How the console is opened; known before anything is loaded.

    Attributes:
        contexts: Names from the command line or the kubeconfig's current one.
        tier: Tier of the first.
        read_only: Writes are refused.
        namespace: Scope, or None for all.
        theme: ``default``, ``ansi16``, ``colourblind`` or ``none``.
        no_color: As theme ``none``.
        profile: ``ssh`` for slow lines, else ``normal``; empty decides by SSH_CONNECTION.
        keys: Rebound keys, action id to keys.
        ascii: Only ASCII signs; None decides by the locale.
        filter: A filter to begin with.
        history_file: Where the command line keeps its history, or empty.
        state_dir: Where the traceback of a defect is kept, or empty.
        save_dir: Where logs are saved; empty is the working directory.
        demo: It is the demo: said in place of the tier.
        notice: Asked in a thread, once the console is up, for what is said then, such as what is
            missing; empty for nothing.
    """

    contexts: tuple[str, ...] = ()
    cluster: str = ""
    tier: Tier = Tier.DEV
    read_only: bool = False
    namespace: str | None = None
    theme: str = "default"
    no_color: bool = False
    profile: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    ascii: bool | None = None
    filter: str = ""
    history_file: str = ""
    state_dir: str = ""
    save_dir: str = ""
    demo: bool = False
    notice: Callable[[], str] | None = None
