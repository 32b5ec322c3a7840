"""What a change costs on a real terminal line."""

from __future__ import annotations

import pytest

from tests.bench.terminal_bytes import measure


@pytest.mark.parametrize("profile", ["normal", "ssh"])
def test_one_changed_cell_is_small_and_an_unseen_one_is_nothing(profile: str) -> None:
    costs = measure(profile)
    assert 0 < costs["visible cell"] <= 1_024
    assert costs["cell off screen"] == 0
    assert costs["nothing"] == 0
    assert costs["cursor"] <= 2_048
    assert costs["page"] <= 20_000
    # What the terminal shows already is not sent again, unless that is what is asked for.
    assert costs["laid out anew"] <= 64
    assert costs["prompt"] <= 1_024
    assert costs["drawn again"] > 4_000
