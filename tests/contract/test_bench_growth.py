"""The table of how the figures grow can be made: one row of it, small, on a cluster of its own."""

from __future__ import annotations

import pytest

from tests.bench import growth
from tests.soak import SOAK

if SOAK:  # some minutes, and a cluster of its own

    @pytest.mark.soak
    def test_a_row_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MCP_TUI_BENCH_GROUND", raising=False)
        found = dict(zip(growth.HEADINGS, growth.row(200), strict=True))
        assert found.pop("jobs") == "200"
        assert all(float(value) >= 0 for value in found.values()), found
        assert float(found["storm, events/s"]) > 0
