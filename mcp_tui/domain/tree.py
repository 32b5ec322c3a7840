"""A tree of keyed nodes as rows: what is open is shown, what is known is kept.

Children are put in when somebody asks for them (an artifact folder), or all at once from what each
says of its parent (nested runs). Whatever parents are claimed, every node is shown exactly once:
one whose parent is not there stands at the top, and so does the first of a ring.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

Sign = Literal["leaf", "closed", "open", "note"]


@dataclass(frozen=True, slots=True)
class Node(Generic[T]):
    """One thing of a tree.

    Attributes:
        key: What tells it from all others of the tree; never empty.
        item: The thing.
        parent: The key of the node that it is in; empty at the top.
        branch: It may have children, known or to be asked for.
    """

    key: str
    item: T
    parent: str = ""
    branch: bool = False


class TreeRow(NamedTuple):
    """A line of the tree: ``key`` of a node, or of the note that stands for its children."""

    key: str
    depth: int
    sign: Sign
    note: str = ""


class Tree(Generic[T]):
    """Nodes, which of them are open, and the rows that this makes."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node[T]] = {}
        self._children: dict[str, tuple[str, ...]] = {"": ()}
        self._open: set[str] = set()
        self._notes: dict[str, str] = {}
        self._shown: frozenset[str] | None = None
        self._rows: list[TreeRow] | None = None
        self._at: dict[str, int] | None = None
        self.version = 0

    # -- nodes ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def get(self, key: str) -> Node[T] | None:
        """A node; None where there is none."""
        return self._nodes.get(key)

    def children(self, key: str) -> tuple[str, ...] | None:
        """What is under a node, empty is the top; None where that is not known."""
        return self._children.get(key)

    def put_all(self, nodes: Iterable[Node[T]]) -> None:
        """Have these nodes and no others, in their order; what was open stays open."""
        found = {node.key: node for node in nodes}
        children: dict[str, list[str]] = {"": []}
        for key, node in found.items():
            children.setdefault(node.parent if node.parent in found else "", []).append(key)
        reached: set[str] = set()

        def reach(begin: str) -> None:
            left = [begin]
            while left:
                for child in children.get(left.pop(), ()):
                    reached.add(child)
                    left.append(child)

        reach("")
        for key, node in found.items():
            if key not in reached:  # of a ring, or under one: cut it open here
                children[node.parent].remove(key)
                children[""].append(key)
                reached.add(key)
                reach(key)
        self._nodes = found
        self._children = {key: tuple(keys) for key, keys in children.items()}
        self._forget()
        self._changed()

    def put_children(self, parent: str, nodes: Sequence[Node[T]]) -> None:
        """Have these nodes under one; empty is the top. Those of them that stay keep theirs."""
        if parent and parent not in self._nodes:
            return  # it went while they were asked for
        ancestors = {parent, *self.path(parent)}
        new = {
            node.key: node
            for node in nodes
            if node.key not in ancestors
            and (node.key not in self._nodes or node.key in self._children.get(parent, ()))
        }
        for key in self._children.get(parent, ()):
            if key not in new:
                self._drop(key)
        self._nodes.update(new)
        self._children[parent] = tuple(new)
        self._notes.pop(parent, None)
        self._forget()
        self._changed()

    def update(self, key: str, item: T) -> None:
        """The same node with another item: no row moves."""
        node = self._nodes.get(key)
        if node is not None:
            self._nodes[key] = Node(key, item, node.parent, node.branch)
            self.version += 1

    def path(self, key: str) -> tuple[str, ...]:
        """The nodes that one is in, from the top down."""
        found: list[str] = []
        seen = {key}
        node = self._nodes.get(key)
        while node is not None and node.parent in self._nodes and node.parent not in seen:
            seen.add(node.parent)
            found.append(node.parent)
            node = self._nodes[node.parent]
        return tuple(reversed(found))

    def _drop(self, key: str) -> None:
        left = [key]
        while left:
            gone = left.pop()
            self._nodes.pop(gone, None)
            left.extend(self._children.pop(gone, ()))

    def _forget(self) -> None:
        """What is no longer there is neither open nor noted."""
        self._open &= self._nodes.keys()
        for key in [key for key in self._notes if key and key not in self._nodes]:
            del self._notes[key]

    # -- open and closed --------------------------------------------------------------------

    def is_open(self, key: str) -> bool:
        """Whether its children are shown."""
        return key in self._open

    def is_branch(self, key: str) -> bool:
        """Whether it has children, or may have."""
        node = self._nodes.get(key)
        return node is not None and (node.branch or bool(self._children.get(key)))

    def open(self, key: str, *, note: str = "asking") -> bool:
        """Show the children of a node.

        Returns:
            Whether they have to be asked for; until :meth:`put_children` or :meth:`say` a row in
            their place says ``note``.
        """
        if not self.is_branch(key):
            return False
        unknown = key not in self._children
        if unknown:
            self._notes[key] = note
        self._open.add(key)
        self._changed()
        return unknown

    def close(self, key: str) -> None:
        """Hide the children of a node; those in them stay as they are."""
        self._open.discard(key)
        self._changed()

    def open_all(self) -> None:
        """Show all that is known."""
        self._open = {key for key, children in self._children.items() if key and children}
        self._changed()

    def close_all(self) -> None:
        """Show the top only."""
        self._open.clear()
        self._changed()

    def say(self, key: str, note: str) -> None:
        """Have a row in place of a node's children: why they could not be had."""
        self._notes[key] = note
        self._changed()

    def forget_children(self, key: str) -> None:
        """Let go of what is under a node, so that opening it asks again."""
        for child in self._children.pop(key, ()):
            self._drop(child)
        self._open.discard(key)
        self._forget()
        self._changed()

    def show_only(self, keys: Iterable[str] | None) -> None:
        """Show these nodes and what they are in, open as far as that needs; None shows all."""
        if keys is None:
            self._shown = None
        else:
            self._shown = frozenset(k for key in keys for k in (key, *self.path(key)))
        self._changed()

    # -- rows -------------------------------------------------------------------------------

    @property
    def rows(self) -> Sequence[TreeRow]:
        """The lines of the tree, from the top."""
        if self._rows is None:
            self._rows = self._flat()
        return self._rows

    def index_of(self, key: str) -> int | None:
        """Where a node stands; None where it is hidden or not there."""
        if self._at is None:
            self._at = {row.key: index for index, row in enumerate(self.rows)}
        return self._at.get(key)

    def shown_ancestor(self, key: str) -> str | None:
        """The node itself, or the nearest that it is in and that has a row."""
        for each in (key, *reversed(self.path(key))):
            if self.index_of(each) is not None:
                return each
        return None

    def _changed(self) -> None:
        self.version += 1
        self._rows = self._at = None

    def _flat(self) -> list[TreeRow]:
        rows: list[TreeRow] = []
        shown = self._shown
        # A stack and no recursion: a tree may be deeper than Python's own.
        left = [(key, 0) for key in reversed(self._children.get("", ()))]
        if "" in self._notes:
            rows.append(TreeRow("\n", 0, "note", self._notes[""]))
        while left:
            key, depth = left.pop()
            if shown is not None and key not in shown:
                continue
            children = self._children.get(key, ())
            sign: Sign = "leaf"
            if self.is_branch(key):
                within = shown is not None and any(child in shown for child in children)
                sign = "open" if within or key in self._open else "closed"
            rows.append(TreeRow(key, depth, sign))
            if sign != "open":
                continue
            if key in self._notes:
                rows.append(TreeRow(f"{key}\n", depth + 1, "note", self._notes[key]))
            elif not children:
                rows.append(TreeRow(f"{key}\n", depth + 1, "note", "empty"))
            left.extend((child, depth + 1) for child in reversed(children))
        return rows
