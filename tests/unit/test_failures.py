"""What a server's headers and bodies say of times: nothing that it writes there is a defect."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.kube_wire import Status, StatusDetails
from mcp_tui.errors import ApiError
from mcp_tui.sources.kubernetes.failures import LONGEST, api_error, http_date, retry_after
from mcp_tui.sources.kubernetes.watch import error_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATE = "Thu, 01 Jan 2026 00:00:30 GMT"
HUGE = "9" * 20
_PARTS = st.sampled_from(
    ["Thu,", "01", "Jan", "2026", "00:00:00", "GMT", "+2400", "-", ":", HUGE, "²", "\x00", ""]
)


def test_dates() -> None:
    assert http_date(DATE) == datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
    assert retry_after(DATE, NOW) == 30.0
    assert retry_after("7") == 7.0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        f"Thu, 01 Jan {HUGE} 00:00:00 GMT",
        f"Thu, 01 Jan 2026 {HUGE}:00:00 GMT",
        f"Thu, 01 Jan 2026 00:00:00 +{HUGE}",
        "Thu, 01 Jan 2026 00:00:00 +2400",
        "\xb2",
        "\u0663",
    ],
)
def test_what_is_neither_a_number_nor_a_date(value: str) -> None:
    assert http_date(value) is None
    assert retry_after(value, NOW) is None


@given(st.one_of(st.text(max_size=40), st.lists(_PARTS, max_size=8).map(" ".join)))
def test_any_header_is_a_time_or_none(value: str) -> None:
    http_date(value)
    wait = retry_after(value, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    ("asked", "wait"), [(5, 5.0), (0, None), (-(10**400), None), (10**400, LONGEST)]
)
def test_any_number_of_seconds_in_a_status(asked: int, wait: float | None) -> None:
    body: dict[str, Any] = {"message": "m", "details": {"retryAfterSeconds": asked}}
    assert api_error(429, {}, json.dumps(body).encode(), where="w").retry_after == wait
    said = error_of(Status(code=429, details=StatusDetails(retry_after_seconds=asked)), "w")
    assert isinstance(said, ApiError)
    assert said.retry_after == wait
