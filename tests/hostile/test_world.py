"""Every kind of object that the console reads is hostile in the world of the fuzz tests."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from mcp_tui.domain.decode import decode
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.sources.kubernetes.resources import VISIBILITY, Resource
from tests.hostile.world import KINDS, NAMESPACE, World
from tests.joined.sources import SOURCES, Source

_TOKEN = "a text of an attacker's"


def _path(resource: Resource[object]) -> str:
    path = resource.path(NAMESPACE if resource.namespaced else None)
    if resource.group != VISIBILITY:
        return path
    # Asked of a queue, not of a namespace.
    place, _, plural = path.rpartition("/")
    return f"{place}/localqueues/q/{plural}"


def hostile(source: Source, world: World) -> bool:
    """Whether a list of it is answered, with the texts in what is read of it."""
    status, _, body = world.answer("GET", _path(source.resource), b"")
    if status != 200:
        return False
    items = decode(ObjectList[source.resource.type_], body).items  # type: ignore[name-defined]  # chosen as it runs
    return bool(items) and _TOKEN in msgspec.json.encode(items).decode()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_kind_is_hostile(source: Source) -> None:
    with World([_TOKEN]) as world:
        assert hostile(source, world)


def test_a_kind_that_has_not_joined_is_not_there() -> None:
    other = msgspec.structs.replace(SOURCES[0].resource, plural="others")
    with World([_TOKEN]) as world:
        assert not hostile(replace(SOURCES[0], resource=other), world)
        found = "".join(world.answer("GET", at, b"")[2].decode() for at in ("/api", "/apis"))
    assert all(f'"{kind.plural}"' in found for kind in KINDS)
