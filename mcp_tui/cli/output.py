"""What the commands print: tables, JSON, YAML, names. The only place that writes to stdout."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TextIO, TypeVar

import msgspec

from mcp_tui.cli import NO_ROOM, forget_output
from mcp_tui.domain.text import clean_line, escaped

T = TypeVar("T")

_COLOURS: Final = re.compile(r"(\x1b\[[0-9;]*m)")
_LONGEST: Final = 1_000_000

FORMATS = ("table", "wide", "json", "yaml", "name")

_STYLES: Mapping[str, str] = {
    "failed": "31",
    "attention": "33",
    "waiting": "36",
    "running": "34",
    "done": "32",
    "dim": "2",
    "bold": "1",
    "prod": "97;41;1",
}


def stand_in() -> None:
    """Give a process whose standard streams were closed (``<&-``, ``>&-``) some that lead nowhere.

    Python sets such a stream to None. What is written is then nobody's to read, and nothing comes.
    """
    # The first: a closed stdin leaves descriptor 0 free, and what is opened next takes it.
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - the process' own
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the process' own
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the process' own


class Column(msgspec.Struct, Generic[T], frozen=True):
    """A column of a printed table.

    Attributes:
        title: In capitals.
        text: What a row says here, already sanitised.
        wide: Only with ``-o wide``.
        style: Name of a style for a row's cell; empty for none.
    """

    title: str
    text: Callable[[T], str]
    wide: bool = False
    style: Callable[[T], str] | None = None


class Printer:
    """Writes results to stdout and notices to stderr, coloured only on a terminal that wants it.

    Args:
        color: None decides by the terminal, ``NO_COLOR`` and ``TERM``.
    """

    def __init__(
        self, *, out: TextIO | None = None, err: TextIO | None = None, color: bool | None = None
    ) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self.color = (self.out.isatty() and not plain) if color is None else color

    def line(self, text: str = "") -> None:
        """One line of the result, whatever stands in a name."""
        self.text(self._one(text))

    def note(self, text: str) -> None:
        """One line beside the result: progress, warnings, errors.

        Where nobody can be told (the terminal is closed, the disk full), nobody is: it must not end
        what is told of.
        """
        with contextlib.suppress(OSError, ValueError):
            self.err.write(self._safe(clean_line(text, limit=_LONGEST), self.err) + "\n")
            self.err.flush()

    @contextlib.contextmanager
    def at_best(self) -> Iterator[None]:
        """A block after which the exit code is known: an output that is lost does not change it."""
        try:
            yield
        except BrokenPipeError:
            forget_output()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            forget_output()
            self.note(f"mcp-tui: cannot write the output: {error.strerror}")

    def text(self, text: str) -> None:
        """Lines of the result as they are: a document."""
        self._write(text + "\n")
        self.out.flush()

    def draw(self, text: str) -> None:
        """In place of the line that the cursor is in; on a terminal only."""
        self._write("\r\x1b[K" + cut(self._one(text), self.room() - 1))
        self.out.flush()

    def styled(self, text: str, style: str) -> str:
        """Text in a style, or as it is where there is no colour."""
        code = _STYLES.get(style, "")
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code else text

    def data(self, value: Any, fmt: str) -> None:
        """A value as JSON or YAML."""
        self.text(_as_json(value) if fmt == "json" else _as_yaml(value))

    def documents(self, values: Iterable[Any], fmt: str) -> None:
        """Values as one JSON or YAML list, written as they come: there may be very many."""
        begun = False
        if fmt == "json":
            for value in values:
                text = _as_json(value).replace("\n", "\n  ")
                self._write(f"{',' if begun else '['}\n  {text}")
                begun = True
            self.text("\n]" if begun else "[]")
            return
        for value in values:
            self._write(_as_yaml([value]) + "\n")
            begun = True
        self.out.flush()
        if not begun:
            self.line("[]")

    def lines(self, texts: Iterable[str]) -> None:
        """Many lines of the result."""
        for text in texts:
            self._write(self._one(text) + "\n")
        self.out.flush()

    def _one(self, text: str) -> str:
        """One line, whatever stands in a name, with no escapes but our own colours."""
        if not self.color:
            return clean_line(text, limit=_LONGEST)
        parts = _COLOURS.split(text)
        parts[::2] = [clean_line(part, limit=_LONGEST) for part in parts[::2]]
        return "".join(parts)

    def _write(self, text: str) -> None:
        self.out.write(self._safe(text, self.out))

    def table(
        self,
        rows: Sequence[T],
        columns: Sequence[Column[T]],
        *,
        wide: bool = False,
        header: bool = True,
    ) -> None:
        """Rows in aligned columns.

        The last column is as long as it likes, but on a terminal lines are cut to its width: a
        table whose lines wrap cannot be read. What is piped or saved is whole.
        """
        room = self.room()
        shown = [c for c in columns if wide or not c.wide]
        cells = [[clean_line(c.text(row)) for c in shown] for row in rows]
        titles = [c.title for c in shown]
        widths = [
            max([width(titles[i])] + [width(line[i]) for line in cells]) for i in range(len(shown))
        ]
        if header:
            self.line(cut(_join(titles, widths), room))
        for row, texts in zip(rows, cells, strict=True):
            styles = [c.style(row) if c.style else "" for c in shown]
            padded = [
                pad(text, widths[i] if i < len(shown) - 1 else 0) for i, text in enumerate(texts)
            ]
            left, painted = room, []
            for text, style in zip(padded, styles, strict=True):
                painted.append(self.styled(cut(text, left), style) if left > 0 else "")
                left -= width(text) + 2
            self._write("  ".join(painted).rstrip() + "\n")
        self.out.flush()

    def room(self) -> int:
        """Cells of a line of the output; without bound where it is no terminal."""
        if not self.out.isatty():
            return sys.maxsize
        try:
            return os.get_terminal_size(self.out.fileno()).columns or sys.maxsize
        except (OSError, ValueError):
            return sys.maxsize

    @staticmethod
    def _safe(text: str, stream: TextIO) -> str:
        encoding = stream.encoding or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)


def _as_json(value: Any) -> str:
    """Indented JSON; what a terminal must not see is escaped, so that it is read back as it was."""
    text = msgspec.json.format(msgspec.json.encode(_plain(value)), indent=2).decode()
    return text if text.isascii() and "\x7f" not in text else escaped(text)


def _as_yaml(value: Any) -> str:
    import yaml

    # libyaml's, where it is there, is ten times as quick.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    for unicode in (True, False):
        text = yaml.dump(_plain(value), Dumper=dumper, sort_keys=False, allow_unicode=unicode)
        # YAML takes zero-width and bidi signs for printable: with one of them all is escaped.
        if escaped(text) == text:
            break
    return str(text).rstrip("\n")


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True)


def _join(texts: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(pad(t, w) for t, w in zip(texts, widths, strict=True)).rstrip()


def width(text: str) -> int:
    """Terminal cells of a text (East Asian wide characters take two, combining ones none)."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(char)
        else 2
        if unicodedata.east_asian_width(char) in ("W", "F")
        else 1
        for char in text
    )


def pad(text: str, cells: int) -> str:
    """Text filled with spaces to a number of cells."""
    return text + " " * max(0, cells - width(text))


def cut(text: str, cells: int) -> str:
    """Text in at most a number of cells; what was cut ends in ``~``, which every locale has."""
    if width(text) <= cells:
        return text
    if cells < 1:
        return ""
    kept, used = [], 0
    for char in text:
        used += width(char)
        if used > cells - 1:
            break
        kept.append(char)
    return "".join(kept) + "~"
