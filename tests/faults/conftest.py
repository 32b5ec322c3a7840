"""What most tests of faults stand on: objects to follow, and the proxy before their server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster import Ground
from tests.faults.follow import Maps, proxied
from tests.faults.proxy import FaultProxy


@pytest_asyncio.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with proxied(ground) as it:
        yield it


@pytest.fixture
def maps(ground: Ground, namespace: str) -> Maps:
    return Maps(ground, namespace)
