"""Every kind of object that is decoded and every kind that is followed stands in SOURCES."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import mcp_tui
from mcp_tui.domain.decode import decode
from mcp_tui.domain.kube import Kube, ObjectMeta
from mcp_tui.domain.kube_serving import ServerMeta
from mcp_tui.sources.kubernetes.resources import POD_METRICS, RESOURCES, VISIBILITY, Resource
from mcp_tui.store.feed import _KINDS
from mcp_tui.store.jobwatch import _ROOTS
from mcp_tui.store.servingfeed import SERVERS
from tests.joined.sources import SOURCES, Source, document


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(mcp_tui.__path__, "mcp_tui."):
        # The demo's own servers are no part of what reads a cluster.
        if ".demo" not in found.name and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def objects(parent: type[Any] = Kube) -> Iterator[type[Any]]:
    """The structs that an object of a server decodes to: those that have its metadata."""
    for struct in parent.__subclasses__():
        yield from objects(struct)
        if struct.__module__.startswith("mcp_tui."):
            fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
            if fields.get("metadata") in (ObjectMeta, ServerMeta):
                yield struct


def missing(sources: tuple[Source, ...]) -> set[str]:
    """What the product decodes or names as a kind, and the tuple does not have."""
    kinds = {source.resource.key for source in sources}
    types = {source.resource.type_ for source in sources}
    found = {type_.__qualname__ for type_ in objects() if type_ not in types}
    for module in modules():
        for name, value in vars(module).items():
            group = value if isinstance(value, tuple) else (value,)
            for each in group:
                if isinstance(each, Resource) and each.key not in kinds:
                    found.add(f"{module.__name__}.{name}: {each.key}")
    return found


def test_nothing_is_read_that_is_not_there() -> None:
    assert missing(SOURCES) == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_one_that_forgets_to_join_is_found(source: Source) -> None:
    assert missing(tuple(each for each in SOURCES if each is not source))


def test_what_the_feeds_follow_enters_the_store() -> None:
    into = {source.resource.key: source.into for source in SOURCES if source.into}
    for resource in (*_KINDS, *_ROOTS.values()):
        assert into[resource.key] == "jobs"
    assert {r.key for r in RESOURCES} <= {source.resource.key for source in SOURCES}
    assert {into[r.key] for r in SERVERS} == {"servers"}
    aggregated = {source.resource.group for source in SOURCES if not source.followed}
    assert {POD_METRICS[0], VISIBILITY} <= aggregated


def test_names_are_unique() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_each_turn_is_another_state(source: Source) -> None:
    type_: type[Any] = source.resource.type_
    made = []
    for turn in range(2):
        whole = document(source, "one", turn, uid="u1", resourceVersion="7")
        item = decode(type_, json.dumps(whole).encode())
        assert (item.metadata.name, item.metadata.uid) == ("one", "u1")
        assert item.metadata.resource_version == "7"
        made.append(item)
    assert made[0] != made[1], "the body has nothing that the struct reads"
