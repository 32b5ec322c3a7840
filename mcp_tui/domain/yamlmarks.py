"""YAML with the line and column of everything, and with bounds: what a config file is read through.

PyYAML's constructors lose the marks, take the last of duplicate keys silently and expand aliases
without end. This module walks the events and the composed nodes instead, and makes plain data that
remembers where it stood. Scalars keep the text as it was written, so that a reader may take
``1.10``, ``NO`` or ``1e-4`` literally where text is wanted.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final, NamedTuple, Protocol, TypeAlias

import yaml

from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import UsageError

MAX_BYTES: Final = 65_536
MAX_DEPTH: Final = 24
MAX_NODES: Final = 5_000
MAX_PROBLEMS: Final = 20

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = frozenset({None, "!", f"{_TAG}str", f"{_TAG}map", f"{_TAG}seq"})


class Mark(NamedTuple):
    """A place in the file, counted from 1."""

    line: int
    column: int


class Scalar(NamedTuple):
    """One value. ``kind`` is str, int, float, bool or null, as YAML 1.1 resolves it."""

    mark: Mark
    kind: str
    text: str


class Sequence(NamedTuple):
    """A list."""

    mark: Mark
    items: tuple[Node, ...]


class Mapping(NamedTuple):
    """A map; the keys are unique texts, in the order of the file."""

    mark: Mark
    items: tuple[tuple[Scalar, Node], ...]


Node: TypeAlias = Scalar | Sequence | Mapping


class Problem(NamedTuple):
    """One fault and its place."""

    mark: Mark
    message: str
    hint: str = ""


class ConfigError(UsageError):
    """A file with faults; :meth:`line` has one line for each: ``file:line:column: what; hint``.

    Args:
        filename: How the file is called in messages.
        problems: At least one, in any order.
    """

    def __init__(self, filename: str, problems: list[Problem]) -> None:
        self.filename = clean_line(filename, limit=512)
        self.problems = tuple(sorted(problems, key=lambda p: p.mark))
        first = self.problems[0]
        super().__init__(
            first.message,
            where=f"{self.filename}:{first.mark.line}:{first.mark.column}",
            hint=first.hint,
        )

    def lines(self) -> list[str]:
        """One line for each fault, capped with a count of the rest."""
        out = []
        for mark, message, hint in self.problems[:MAX_PROBLEMS]:
            text = f"{self.filename}:{mark.line}:{mark.column}: {message}"
            out.append(f"{text}; {hint}" if hint else text)
        rest = len(self.problems) - MAX_PROBLEMS
        if rest > 0:
            out.append(f"{self.filename}: and {rest} more")
        return out

    def line(self) -> str:
        """All faults, a line each."""
        return "\n".join(self.lines())


def decode(raw: bytes, *, filename: str) -> str:
    """Decode UTF-8, with or without a byte-order mark.

    Raises:
        ConfigError: At the line of the first byte that is not UTF-8.
    """
    _bound(len(raw), filename, MAX_BYTES)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        mark = Mark(before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        raise ConfigError(
            filename, [Problem(mark, "the file is not UTF-8", "save it as UTF-8")]
        ) from None


def load(text: str, *, filename: str, most: int = MAX_BYTES) -> tuple[Mapping, list[Problem]]:
    """Read one YAML document whose top is a map.

    Args:
        text: The file's content.
        filename: How it is called in messages.
        most: Bytes of it that are read; a larger one is refused.

    Returns:
        The map, and the faults that do not stop the reading (duplicate keys, of which the first
        value is kept).

    Raises:
        ConfigError: It is not YAML, is empty, too large, too deep, expands to too many nodes, has
            several documents, a tag that would make an object, a merge key or a recursive alias.
    """
    _bound(len(text.encode("utf-8", "surrogatepass")), filename, most)
    try:
        _inspect(text, filename)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        raise ConfigError(filename, [_reader_problem(text, error)]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(filename, [_syntax_problem(text, error)]) from None
    if root is None:
        raise ConfigError(filename, [_EMPTY])
    builder = _Builder(filename)
    node = builder.build(root)
    if not isinstance(node, Mapping):
        if isinstance(node, Scalar) and node.kind == "null":
            raise ConfigError(filename, [_EMPTY])
        message = "the file must be a map of fields (`name: value` lines)"
        raise ConfigError(filename, [Problem(node.mark, message)])
    return node, builder.problems


_EMPTY: Final = Problem(
    Mark(1, 1), "the file is empty", "`mcp-tui job init` prints a documented example"
)


def _bound(size: int, filename: str, most: int) -> None:
    if size > most:
        message = f"the file has {size} bytes; at most {most} are read"
        raise ConfigError(filename, [Problem(Mark(1, 1), message)])


class _HasPlace(Protocol):
    line: int
    column: int


def _mark(mark: _HasPlace | None) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark(1, 1)


def _reader_problem(text: str, error: yaml.reader.ReaderError) -> Problem:
    position = error.position if isinstance(error.position, int) else 0
    before = text[:position]
    mark = Mark(before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)
    return Problem(mark, "a character that YAML does not allow", "write it as an escape in quotes")


def _syntax_problem(text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = _mark(error.problem_mark or error.context_mark)
    words = one_line(str(error.problem or error.context or "it cannot be read"))
    lines = text.splitlines()
    at_fault = lines[mark.line - 1] if mark.line <= len(lines) else ""
    if at_fault[: len(at_fault) - len(at_fault.lstrip())].count("\t"):
        return Problem(mark, "a tab in the indentation", "indent with spaces")
    # An undefined alias is the one message of PyYAML that repeats text of the file.
    return Problem(mark, f"not YAML: {words}", "look at the indentation, colons and quotes here")


def _inspect(text: str, filename: str) -> None:
    """Look at the events, which cost no recursion: documents, values, depth, tags."""
    documents = depth = count = 0
    for event in yaml.parse(text, Loader=_Loader):
        mark = _mark(event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise ConfigError(
                    filename, [Problem(mark, "a second document", "one file describes one job")]
                )
        elif isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) not in _PLAIN_TAGS:
            message = "a YAML tag (`!...`), which is not allowed here"
            raise ConfigError(filename, [Problem(mark, message, "write the plain value")])
        count += isinstance(event, yaml.NodeEvent)
        if count > MAX_NODES:  # told before any of them is made
            raise ConfigError(filename, [_too_many(mark)])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(filename, [_too_deep(mark)])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_many(mark: Mark) -> Problem:
    message = f"the file expands to more than {MAX_NODES} values"
    return Problem(mark, message, "write out aliases (`*name`) or remove them")


def _too_deep(mark: Mark) -> Problem:
    return Problem(mark, f"nested deeper than {MAX_DEPTH} levels")


class _Builder:
    """Turns composed nodes to plain ones; aliases count each time they are used."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.problems: list[Problem] = []
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> Node:
        mark = _mark(node.start_mark)
        self._count += 1
        if self._count > MAX_NODES:
            raise self._stop(_too_many(mark))
        if isinstance(node, yaml.ScalarNode):
            return Scalar(mark, _kind(node.tag), node.value)
        if id(node) in self._open:
            hint = "write the values out"
            raise self._stop(Problem(mark, "an alias that contains itself", hint))
        if len(self._open) >= MAX_DEPTH:  # by aliases, which the events do not show
            raise self._stop(_too_deep(mark))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return Sequence(mark, tuple(self.build(item) for item in node.value))
            return Mapping(mark, tuple(self._items(node)))
        finally:
            self._open.discard(id(node))

    def _items(self, node: yaml.Node) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[Hashable, Mark] = {}
        for key_node, value_node in node.value:
            key = self.build(key_node)
            if not isinstance(key, Scalar):
                raise self._stop(Problem(key.mark, "a key must be plain text"))
            if key_node.tag == f"{_TAG}merge":
                message = "merge keys (`<<`) are not supported"
                raise self._stop(Problem(key.mark, message, "write the fields out"))
            if key.text in seen:
                first = seen[key.text]
                shown = clean_line(key.text, limit=60)
                hint = f"the first is at line {first.line}; keep one"
                self.problems.append(Problem(key.mark, f"duplicate key `{shown}`", hint))
                continue
            seen[key.text] = key.mark
            yield key, self.build(value_node)

    def _stop(self, problem: Problem) -> ConfigError:
        return ConfigError(self.filename, [*self.problems, problem])


def _kind(tag: str) -> str:
    name = tag.removeprefix(_TAG)
    # Timestamps and `=` are text here: nothing in a config is a date.
    return name if name in {"int", "float", "bool", "null"} else "str"
