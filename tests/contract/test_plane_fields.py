"""The embedded plane knows exactly the fields that the real server knows."""

from __future__ import annotations

from tests.cluster import Ground
from tests.conftest import Plane
from tests.contract.fields import FILE, fields, text


def test_the_fields_are_the_real_servers(ground: Ground) -> None:
    dev = ground.dev
    real = Plane("real", ground.kubeconfig, dev.name, dev.server, dev.tokens["admin"], dev.ca)
    with real.client() as client:
        assert FILE.read_text() == text(fields(client))
