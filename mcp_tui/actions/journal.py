"""The local append-only journal: what this user's console did, one JSON object a line.

A plan is written down when its first write is about to leave and again when it ended, so that a
console killed in between leaves an unfinished entry rather than silence.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Tier, Verb
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

_LONGEST_LINE: Final = 1_048_576
_LOCK_TRIES: Final = 100
_LOCK_PAUSE: Final = 0.05
_BLOCK: Final = 262_144
# What was done lately is read back for as far as this at most: a journal grows for years.
_FARTHEST: Final = 16_777_216


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the journal.

    Attributes:
        at: Unix time in seconds.
        event: ``started`` before the first write leaves, ``ended`` after the last answer.
        plan: The plan's id.
        user: Who the cluster says we are; empty when unknown.
        local_user: The user of this machine.
        outcomes: One a target, for ``ended``.
        summary: The plan's writes in words.
        process: Which process it was, for ``started``; see :func:`this_process`.
    """

    at: float
    event: Literal["started", "ended"]
    plan: str
    verb: Verb
    context: str
    tier: Tier
    targets: tuple[Target, ...]
    user: str = ""
    local_user: str = ""
    summary: tuple[str, ...] = ()
    process: str = ""
    outcomes: tuple[Outcome, ...] = ()


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One action as the journal tells it: its start, and its end if there was one."""

    started: Entry
    ended: Entry | None

    @property
    def result(self) -> str:
        """The worst outcome in one word, or ``unfinished``: what may have happened comes before
        what did not."""
        if self.ended is None:
            return "unfinished"
        order = (
            OutcomeStatus.UNKNOWN,
            OutcomeStatus.FAILED,
            OutcomeStatus.UNPROVEN,
            OutcomeStatus.PROVEN,
        )
        statuses = {o.status for o in self.ended.outcomes}
        return next((s.value for s in order if s in statuses), "unknown")


def this_process() -> str:
    """``host/pid/start``: names one process for ever, as a pid alone does not."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{pid}/{_started(pid)}"


def is_running(process: str) -> bool | None:
    """Whether a process that :func:`this_process` named is still there; None when only another
    machine knows."""
    host, pid, start = ("", "", *process.rsplit("/", 2))[-3:]
    if not pid.isdigit() or host != socket.gethostname():
        return None
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return not start or _started(int(pid)) in ("", start)


def _started(pid: int) -> str:
    """When a process was started, in the kernel's ticks; empty where that cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _decoded(lines: Iterable[bytes]) -> Iterator[Entry]:
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # A line torn by a full disk must not hide the others.
            continue


def _lately(file: BinaryIO, since: float) -> Iterator[Entry]:
    """The entries at the end of a journal, oldest first: read back block by block, until all of a
    block are of before ``since``. A single one may be of a clock that was wrong."""
    start = os.fstat(file.fileno()).st_size
    least = max(0, start - _FARTHEST)
    blocks: list[list[Entry]] = []
    rest = b""
    while start > least:
        end, start = start, max(least, start - _BLOCK)
        file.seek(start)
        lines = (file.read(end - start) + rest).split(b"\n")
        # Where the first of them begins is in the block before; one that is too long is none.
        rest = lines.pop(0) if start else b""
        rest = rest if len(rest) <= _LONGEST_LINE else b""
        blocks.append(list(_decoded(lines)))
        if blocks[-1] and max(entry.at for entry in blocks[-1]) < since:
            break
    for block in reversed(blocks):
        yield from block


class Journal:
    """Appends to and reads ``journal.jsonl`` in the state directory.

    Args:
        directory: Made (mode 0700) when first written to.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.jsonl"

    def start(self, plan: Plan, *, at: float, user: str, local_user: str) -> None:
        """Write down that a plan is about to be applied.

        Raises:
            UsageError: The journal cannot be written; nothing must be applied then.
        """
        self._append(
            Entry(
                at=at,
                event="started",
                plan=plan.id,
                verb=plan.verb,
                context=plan.context,
                tier=plan.tier,
                targets=plan.targets,
                user=user,
                local_user=local_user,
                summary=tuple(w.summary for w in plan.writes),
                process=this_process(),
            )
        )

    def end(self, plan: Plan, outcomes: tuple[Outcome, ...], *, at: float) -> None:
        """Write down how it ended. Raises UsageError as :meth:`start` does."""
        self._append(
            Entry(
                at=at,
                event="ended",
                plan=plan.id,
                verb=plan.verb,
                context=plan.context,
                tier=plan.tier,
                targets=plan.targets,
                outcomes=outcomes,
            )
        )

    def actions(self, *, since: float | None = None) -> list[Action]:
        """All actions, oldest first. Lines that cannot be read are passed over.

        Args:
            since: Unix time in seconds: what was written before it may be left out. Of what was
                written after it the last 16 MiB are there.

        Raises:
            UsageError: The file exists and cannot be read.
        """
        started: dict[str, Entry] = {}
        ended: dict[str, Entry] = {}
        for entry in self._entries(since):
            (started if entry.event == "started" else ended)[entry.plan] = entry
        return [Action(started=e, ended=ended.get(plan)) for plan, e in started.items()]

    def _entries(self, since: float | None) -> Iterator[Entry]:
        try:
            with self.path.open("rb") as file:
                yield from _decoded(file) if since is None else _lately(file, since)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(
                f"cannot read the journal: {error.strerror}", where=clean_line(str(self.path))
            ) from None

    def _append(self, entry: Entry) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        if len(line) > _LONGEST_LINE:
            raise UsageError("the plan is too large for the journal", where=str(self.path))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._lock(fd)
                size = os.fstat(fd).st_size
                # A torn last line is closed first, so that this one stands by itself.
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    line = b"\n" + line
                view = memoryview(line)
                while view:
                    view = view[os.write(fd, view) :]
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise UsageError(
                f"cannot write the journal: {error.strerror}",
                where=clean_line(str(self.path)),
                hint="nothing was done; free the disk or set XDG_STATE_HOME",
            ) from None

    def _lock(self, fd: int) -> None:
        """Wait for another console's line, but not for ever: it may be suspended."""
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_LOCK_PAUSE)
            else:
                return
        raise UsageError(
            "another console holds the journal",
            where=clean_line(str(self.path)),
            hint="nothing was done; end it, or wait for it",
        )
