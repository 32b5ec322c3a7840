"""Quantities and times: exact where they must be, short where they are shown."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain import quantity
from mcp_tui.domain.quantity import format_bytes, format_cpu, is_accelerator, parse, total
from mcp_tui.domain.reltime import absolute, age, ago, clock, duration


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"),
        ("64Gi", str(64 * 2**30)),
        ("1.5Gi", str(3 * 2**29)),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("2E", str(2 * 10**18)),
        ("2Ei", str(2 * 2**60)),
        ("100n", "0.0000001"),
        ("3u", "0.000003"),
        ("+2k", "2000"),
        ("-1", "-1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("0", "0"),
        (3, "3"),
        (2.5, "2.5"),
        ("12e-3", "0.012"),
    ],
)
def test_the_grammar(text: str | int | float, value: str) -> None:
    assert parse(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", "Gi", "1K", "1KI", "1 Gi", "1e", "NaN", "inf", "0x10", "1e999", "9" * 99, "1Gi\n", "１"],
)
def test_what_is_no_quantity(text: str) -> None:
    assert parse(text) is None


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_none(text: str) -> None:
    found = parse(text)
    assert found is None or found.is_finite()
    assert total([text, "1"]).is_finite()


def test_sums_are_exact() -> None:
    assert total(["100m"] * 10) == 1
    assert total(["0.1", "200m", "junk"]) == Decimal("0.3")
    into: dict[str, Decimal] = {"cpu": Decimal(1)}
    quantity.add(into, {"cpu": Decimal("0.5"), "memory": Decimal(2)}, 3)
    assert into == {"cpu": Decimal("2.5"), "memory": Decimal(6)}


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1Ki"),
        (1536, "1.5Ki"),
        (64 * 2**30, "64Gi"),
        (1023.6 * 2**20, "1Gi"),
        (100.25 * 2**30, "100Gi"),
        (-(2**20), "-1Mi"),
        (2**70, "1024Ei"),
    ],
)
def test_bytes(size: float, shown: str) -> None:
    assert format_bytes(size) == shown


@pytest.mark.parametrize(
    ("cores", "shown"),
    [
        (0, "0"),
        (0.25, "250m"),
        (1, "1"),
        (1.5, "1.5"),
        (7.5, "7.5"),
        (128, "128"),
        (0.0001, "0m"),
        (12.345, "12.3"),
    ],
)
def test_cores(cores: float, shown: str) -> None:
    assert format_cpu(cores) == shown


@given(st.floats(0, 1e20))
def test_shown_sizes_are_short(size: float) -> None:
    assert len(format_bytes(size)) <= 7


@pytest.mark.parametrize(
    ("resource", "device"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/mig-1g.5gb", True),
        ("google.com/tpu", True),
        ("amd.com/gpu", True),
        ("habana.ai/gaudi", True),
        ("aws.amazon.com/neuroncore", True),
        ("cpu", False),
        ("hugepages-2Mi", False),
        ("ephemeral-storage", False),
        ("kubernetes.io/batch-cpu", False),
        ("example.com/default-gpu", True),
        ("vpc.amazonaws.com/efa", False),
        ("rdma/hca_shared_devices_a", False),
        ("nvidia.com/hostdev-nic", False),
        ("nvidia.com/gpu.shared", True),
        ("volcano.sh/vgpu-number", True),
        ("nvidia.com/gpumem", False),
        ("nvidia.com/gpumem-percentage", False),
        ("nvidia.com/gpucores", False),
        ("nvidia.com/priority", False),
        ("volcano.sh/vgpu-memory", False),
        ("volcano.sh/vgpu-cores", False),
        ("aliyun.com/gpu-mem", False),
        ("aliyun.com/gpu-core.percentage", False),
        ("tencent.com/vcuda-core", False),
        ("tencent.com/vcuda-memory", False),
        ("cambricon.com/mlu.smlu.vmemory", False),
        ("cambricon.com/mlu.smlu.vcore", False),
        ("koordinator.sh/gpu-memory-ratio", False),
    ],
)
def test_accelerators(resource: str, device: bool) -> None:
    assert is_accelerator(resource) is device


@pytest.mark.parametrize(
    ("seconds", "short", "words"),
    [
        (0, "0s", "0 s"),
        (59.9, "59s", "59 s"),
        (60, "1m", "1 min"),
        (95, "1m35s", "1 min"),
        (14 * 60 + 30, "14m", "14 min"),
        (7_200, "2h", "2 h"),
        (7_260, "2h1m", "2 h 1 min"),
        (10_900, "3h", "3 h 1 min"),
        (3 * 86_400 + 4 * 3_600, "3d4h", "3 days 4 h"),
        (86_400, "1d", "1 day"),
        (12.5 * 86_400, "12d", "12 days"),
        (900 * 86_400, "2y", "900 days"),
        (-5, "0s", "0 s"),
        (None, "-", "unknown"),
        (float("nan"), "-", "unknown"),
        (float("inf"), "-", "unknown"),
    ],
)
def test_durations(seconds: float | None, short: str, words: str) -> None:
    assert age(seconds) == short
    assert duration(seconds) == words


@given(st.floats(0, 4e9))
def test_an_age_fits_its_column(seconds: float) -> None:
    assert len(age(seconds)) <= 5


def test_moments() -> None:
    noon = 1_795_435_331.0
    assert absolute(noon) == "2026-11-23 12:02:11Z"
    assert clock(noon, now=noon + 60) == "12:02Z"
    assert clock(noon, now=noon + 86_400) == "23 Nov 12:02Z"
    assert ago(noon, noon + 60) == "1m"
    assert (ago(None, noon), absolute(None), clock(None, now=noon)) == ("-", "-", "-")
    assert absolute(1e30) == "-"
    assert absolute(float("nan")) == "-"
