"""The common fields of a train config as those of a form. Pure: the text stays what is planned.

A field is read from the text and written back into it where it stands, so that comments, order
and all that the form does not show stay as they are.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from mcp_tui.domain import yamlmarks
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.yamlmarks import ConfigError
from mcp_tui.tui.model import FormField

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A field of the form.

    Attributes:
        path: Where it stands in the config.
        label: What it is called.
        hint: What it is for.
        kind: ``text`` is quoted where YAML would read something else; ``plain`` is written as
            typed; ``pairs`` is a map of plain values, typed as ``a=1 b=2``.
    """

    path: Path
    label: str
    hint: str
    kind: str = "text"

    @property
    def id(self) -> str:
        """Its path, dotted, as messages have it."""
        return ".".join(self.path)


ITEMS: tuple[Item, ...] = (
    Item(("name",), "name", "start of the job's name; a few characters are added"),
    Item(("image",), "image", "the command runs in this image"),
    Item(("code", "url"), "repository", "Git, without credentials"),
    Item(("code", "ref"), "branch", "branch, tag or full commit; empty for the remote's HEAD"),
    Item(("code", "path"), "directory", "of the repository, to run in"),
    Item(("command",), "command", "given to sh -c"),
    Item(("parameters",), "parameters", "as in lr=0.001 epochs=20: given to the program", "pairs"),
    Item(("nodes",), "nodes", "pods that run together", "plain"),
    Item(("resources", "cpu"), "cpu", "for each node, such as 8 or 500m", "plain"),
    Item(("resources", "memory"), "memory", "for each node, such as 64Gi"),
    Item(
        ("resources", "accelerators"),
        "accelerators",
        "for each node, such as nvidia.com/gpu=1",
        "pairs",
    ),
    Item(("queue",), "queue", "Kueue's local queue"),
    Item(("experiment",), "experiment", "MLflow's; made if it does not exist"),
    Item(("total_steps",), "total steps", "of a whole run, for the progress", "plain"),
    Item(("deadline",), "deadline", "the job is failed after this long, such as 4h"),
    Item(("namespace",), "namespace", "empty for the one that is looked at"),
)
"""The fields of the form, in their order."""


def form_fields(text: str) -> list[FormField]:
    """The form of a config.

    Raises:
        ConfigError: It cannot be read at all; only the text can be mended then.
    """
    root = _root(text)
    fields = []
    for item in ITEMS:
        value, fixed = _value(text, root, item)
        fields.append(FormField(item.id, item.label, value, item.hint, fixed))
    return fields


def write(text: str, changes: Mapping[str, str]) -> str:
    """The text with the changed fields in it.

    Args:
        changes: Field to new value; an empty one takes the field out.

    Raises:
        ConfigError: The text cannot be read, or no longer with the changes in it.
        ValueError: Pairs that are none, with the reason.
    """
    for item in ITEMS:
        if item.id not in changes:
            continue
        if item.kind == "pairs":
            text = _write_pairs(text, item, changes[item.id])
        else:
            text = _write_one(text, item.path, changes[item.id], quoted=item.kind == "text")
    return text


def places(text: str) -> dict[str, tuple[int, int]]:
    """The first and last line of each field that is there, counted from 1."""
    root = _root(text)
    found: dict[str, tuple[int, int]] = {}
    for item in ITEMS:
        pair = _pair(root, item.path)
        if pair is not None:
            last = pair[1].end_mark
            end = last.line + (1 if last.column else 0)
            found[item.id] = (pair[0].start_mark.line + 1, max(end, pair[0].start_mark.line + 1))
    return found


def errors_of(text: str, error: ConfigError) -> dict[str, str]:
    """What is wrong, by field; what stands in none of the form's is under an empty name."""
    try:
        where = places(text)
    except ConfigError:
        where = {}
    found: dict[str, str] = {}
    for problem in error.problems:
        words = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
        missing = (item.id for item in ITEMS if problem.message == f"`{item.id}` is missing")
        # The innermost: a field of a map stands inside of it.
        there = sorted(
            (first, name)
            for name, (first, last) in where.items()
            if first <= problem.mark.line <= last
        )
        name = next(missing, there[-1][1] if there else "")
        found.setdefault(name, words)
    return found


# -- reading --------------------------------------------------------------------------------


def _root(text: str) -> yaml.MappingNode:
    # First as the planner reads it, which is bounded and says what is wrong in words.
    yamlmarks.load(text, filename="train-config.yaml")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return root


def _pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key, value


def _pair(root: yaml.Node, path: Path) -> tuple[yaml.ScalarNode, yaml.Node] | None:
    """The key and value at a path."""
    node: yaml.Node | None = root
    found = None
    for part in path:
        found = next(((k, v) for k, v in _pairs(node) if k.value == part), None)
        node = found[1] if found else None
    return found


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _value(text: str, root: yaml.Node, item: Item) -> tuple[str, str]:
    """The value of a field as typed, and why it cannot be changed in a form."""
    parent = _pair(root, item.path[:-1])
    if parent is not None and not _is_null(parent[1]) and not _block(parent[1]):
        found = _pair(root, item.path)
        shown = found[1].value if found and isinstance(found[1], yaml.ScalarNode) else ""
        return clean_line(str(shown)), "it is written in braces: ctrl-t edits it in the text"
    pair = _pair(root, item.path)
    if pair is None or _is_null(pair[1]):
        return "", ""
    node = pair[1]
    if item.kind == "pairs":
        values = [(k.value, v) for k, v in _pairs(node)]
        if not all(_simple(text, v) for _, v in values) or not isinstance(node, yaml.MappingNode):
            return "..", "it is more than plain values: ctrl-t edits it in the text"
        if not _block(node):
            return _typed(values), "it is written in braces: ctrl-t edits it in the text"
        return _typed(values), ""
    if not isinstance(node, yaml.ScalarNode):
        return "..", "it is a list: ctrl-t edits it in the text"
    if not _simple(text, node):
        return clean_line(node.value), "it has several lines: ctrl-t edits it in the text"
    return node.value, ""


def _typed(values: Sequence[tuple[str, yaml.Node]]) -> str:
    return " ".join(shlex.quote(f"{name}={node.value}") for name, node in values)


def _block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and not node.flow_style and bool(node.value)


def _simple(text: str, node: yaml.Node) -> bool:
    """Whether a value is one scalar on one line, without an anchor and without being an alias."""
    return (
        isinstance(node, yaml.ScalarNode)
        and node.start_mark.line == node.end_mark.line
        and node.style not in {"|", ">"}
        and text[node.start_mark.index : node.start_mark.index + 1] not in {"&", "*"}
    )


# -- writing --------------------------------------------------------------------------------


def _scalar(value: str, *, quoted: bool) -> str:
    """A value as YAML that is read back as it is; text stays text."""
    try:
        node = yaml.compose(f"k: {value}", Loader=yaml.SafeLoader)
        pair = _pair(node, ("k",)) if node is not None else None
        same = pair is not None and pair[1].value == value
        is_text = pair is not None and pair[1].tag == "tag:yaml.org,2002:str"
    except yaml.YAMLError:
        same = is_text = False
    if same and (is_text or not quoted):
        return value
    return json.dumps(value, ensure_ascii=False)


def _write_one(text: str, path: Path, value: str, *, quoted: bool) -> str:
    root = _root(text)
    pair = _pair(root, path)
    if pair is None:
        return _added(text, root, path, _scalar(value, quoted=quoted)) if value else text
    key, node = pair
    start, end = node.start_mark.index, node.end_mark.index
    if not value:
        # Out of the way and not away: its comment may be of use.
        line = text.rfind("\n", 0, key.start_mark.index) + 1
        return (
            text[: key.start_mark.index] + "# " + text[key.start_mark.index :]
            if (text[line : key.start_mark.index].isspace() or line == key.start_mark.index)
            else text[:start] + '""' + text[end:]
        )
    if start == end:
        # There was nothing: the colon is the last that is known.
        at = text.index(":", key.end_mark.index) + 1
        return f"{text[:at]} {_scalar(value, quoted=quoted)}{text[at:]}"
    return text[:start] + _scalar(value, quoted=quoted) + text[end:]


def _added(text: str, root: yaml.Node, path: Path, value: str) -> str:
    """The text with a field more: in the innermost of its maps that is there, else at the end."""
    depth, parent = 0, None
    for n in range(len(path) - 1, 0, -1):
        parent = _pair(root, path[:n])
        if parent is not None:
            depth = n
            break
    names = [_scalar(part, quoted=False) for part in path[depth:]]
    text = text if not text or text.endswith("\n") else text + "\n"
    indent, at = 0, len(text)
    if parent is not None:
        key, node = parent
        indent, after = key.start_mark.column + 2, key
        if isinstance(node, yaml.MappingNode) and node.value:
            last, inner = node.value[-1]
            indent = last.start_mark.column
            # Behind the last one where that is one line; else before the first.
            after = last if isinstance(inner, yaml.ScalarNode) and _simple(text, inner) else key
        at = text.index("\n", after.end_mark.index) + 1
    lines = [f"{' ' * (indent + 2 * n)}{name}:" for n, name in enumerate(names)]
    added = "\n".join(lines) + f" {value}\n"
    return text[:at] + added + text[at:]


def _write_pairs(text: str, item: Item, typed: str) -> str:
    try:
        words = shlex.split(typed)
    except ValueError:
        raise ValueError(f"{item.id}: a quote is not closed") from None
    wanted: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"{item.id}: {clean_line(word, limit=60)!r} is not name=value")
        wanted[name] = value
    pair = _pair(_root(text), item.path)
    there = {k.value: v.value for k, v in _pairs(pair[1])} if pair is not None else {}
    if not wanted:
        return _out(text, item.path) if pair is not None else text
    for name in there:
        if name not in wanted:
            text = _write_one(text, (*item.path, name), "", quoted=False)
    for name, value in wanted.items():
        if there.get(name) != value:
            text = _write_one(text, (*item.path, name), value, quoted=False)
    return text


def _out(text: str, path: Path) -> str:
    """The text with a whole map made a comment, line by line."""
    pair = _pair(_root(text), path)
    assert pair is not None
    first, last = pair[0].start_mark, pair[1].end_mark
    lines = text.splitlines(keepends=True)
    for n in range(first.line, last.line + (1 if last.column else 0)):
        if lines[n].strip() and not lines[n].lstrip().startswith("#"):
            lines[n] = lines[n][: first.column] + "# " + lines[n][first.column :]
    return "".join(lines)
