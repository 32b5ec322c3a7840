"""Trees: every node once, what was open stays open, and no parent that is claimed does harm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.tree import Node, Tree


def node(key: str, parent: str = "", *, branch: bool = False) -> Node[str]:
    return Node(key, f"item {key}", parent, branch)


def shown(tree: Tree[str]) -> list[str]:
    return ["  " * row.depth + (row.note or row.key) for row in tree.rows]


def nested() -> Tree[str]:
    tree: Tree[str] = Tree()
    tree.put_all([node("a"), node("a1", "a"), node("a2", "a"), node("b"), node("a11", "a1")])
    return tree


def test_closed_shows_the_top_and_open_what_is_within() -> None:
    tree = nested()
    assert shown(tree) == ["a", "b"]
    assert [row.sign for row in tree.rows] == ["closed", "leaf"]
    assert not tree.open("a"), "they are known"
    assert shown(tree) == ["a", "  a1", "  a2", "b"]
    tree.open("a1")
    tree.close("a")
    assert shown(tree) == ["a", "b"]
    tree.open("a")
    assert shown(tree) == ["a", "  a1", "    a11", "  a2", "b"], "what was in it stays as it was"
    tree.close_all()
    assert shown(tree) == ["a", "b"]
    tree.open_all()
    assert len(tree.rows) == 5


def test_a_leaf_does_not_open() -> None:
    tree = nested()
    assert not tree.open("b")
    assert not tree.open("nobody")
    assert not tree.is_open("b")


def test_children_are_asked_for_once() -> None:
    tree: Tree[str] = Tree()
    tree.put_children("", [node("model", branch=True), node("log.txt")])
    assert tree.open("model", note="asking the server")
    assert shown(tree) == ["model", "  asking the server", "log.txt"]
    tree.put_children("model", [node("model/MLmodel", "model"), node("model/data", "model")])
    assert shown(tree) == ["model", "  model/MLmodel", "  model/data", "log.txt"]
    tree.close("model")
    assert not tree.open("model"), "they are known by now"


def test_an_empty_branch_and_a_failure_say_so() -> None:
    tree: Tree[str] = Tree()
    tree.put_children("", [node("empty", branch=True), node("broken", branch=True)])
    for key in ("empty", "broken"):
        tree.open(key)
    tree.put_children("empty", [])
    tree.say("broken", "404: no such artifact")
    assert shown(tree) == ["empty", "  empty", "broken", "  404: no such artifact"]
    tree.forget_children("broken")
    assert tree.open("broken"), "asked again"


def test_what_stays_keeps_its_children_and_what_goes_takes_them_along() -> None:
    tree: Tree[str] = Tree()
    tree.put_children("", [node("a", branch=True), node("b", branch=True)])
    tree.put_children("a", [node("a1", "a")])
    tree.put_children("b", [node("b1", "b")])
    tree.open_all()
    tree.put_children("", [node("c"), node("b", branch=True)])
    assert shown(tree) == ["c", "b", "  b1"]
    assert "a1" not in tree
    tree.put_children("a", [node("late", "a")])
    assert "late" not in tree, "its parent went while it was asked for"


def test_open_nodes_stay_open_when_all_are_put_again() -> None:
    tree = nested()
    tree.open("a")
    tree.put_all([node("new"), node("a"), node("a2", "a"), node("a3", "a")])
    assert shown(tree) == ["new", "a", "  a2", "  a3"]
    assert not tree.is_open("a1")


def test_a_missing_parent_puts_it_at_the_top_and_a_ring_is_cut() -> None:
    tree: Tree[str] = Tree()
    tree.put_all(
        [
            node("orphan", "gone"),
            node("x", "y"),
            node("y", "x"),
            node("self", "self"),
            node("z", "x"),
        ]
    )
    tree.open_all()
    assert sorted(row.key for row in tree.rows) == ["orphan", "self", "x", "y", "z"]
    assert tree.path("y") == ("x",)


def test_a_folder_cannot_be_put_into_itself() -> None:
    tree: Tree[str] = Tree()
    tree.put_children("", [node("a", branch=True)])
    tree.put_children("a", [node("a/b", "a", branch=True)])
    tree.put_children("a/b", [node("a", "a/b"), node("a/b", "a/b"), node("ok", "a/b")])
    tree.open_all()
    assert shown(tree) == ["a", "  a/b", "    ok"]


def test_a_filter_shows_what_nodes_are_in() -> None:
    tree = nested()
    tree.show_only(["a11"])
    assert shown(tree) == ["a", "  a1", "    a11"]
    assert tree.index_of("b") is None
    tree.show_only(None)
    assert shown(tree) == ["a", "b"]


def test_the_nearest_that_is_shown() -> None:
    tree = nested()
    assert tree.shown_ancestor("a11") == "a"
    tree.open("a")
    assert tree.shown_ancestor("a11") == "a1"
    assert tree.shown_ancestor("nobody") is None


def test_it_may_be_deep_and_wide() -> None:
    tree: Tree[str] = Tree()
    deep = [node(str(n), str(n - 1) if n else "") for n in range(5_000)]
    tree.put_all(deep)
    tree.open_all()
    assert tree.rows[-1].depth == 4_999
    tree.put_all([node("top"), *(node(f"n{n}", "top") for n in range(100_000))])
    tree.open("top")
    assert len(tree.rows) == 100_001
    assert tree.index_of("n99999") == 100_000


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 14)), max_size=40),
    st.lists(st.tuples(st.sampled_from(["open", "close", "put", "drop"]), st.integers(0, 12))),
)
def test_every_node_has_one_row_whatever_parents_are_claimed(
    pairs: list[tuple[int, int]], steps: list[tuple[str, int]]
) -> None:
    tree: Tree[str] = Tree()
    tree.put_all([node(f"k{key}", f"k{parent}") for key, parent in pairs])
    tree.open_all()
    assert sorted(row.key for row in tree.rows if row.sign != "note") == sorted(tree)
    for what, number in steps:
        key = f"k{number}"
        if what == "open":
            tree.open(key)
        elif what == "close":
            tree.close(key)
        elif what == "drop":
            tree.forget_children(key)
        else:
            tree.put_children(key, [node(f"k{number + 1}", key), node(f"m{number}", key)])
        rows = [row.key for row in tree.rows]
        assert len(rows) == len(set(rows))
        assert all(tree.index_of(key) == at for at, key in enumerate(rows))
        for before, after in zip(tree.rows, tree.rows[1:], strict=False):
            assert after.depth <= before.depth + 1
    tree.open_all()
    assert sorted(row.key for row in tree.rows if row.sign != "note") == sorted(tree)
