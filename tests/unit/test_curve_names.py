"""What curves are called, and which metrics are looked at first."""

from __future__ import annotations

import pytest

from mcp_tui.domain.curvenames import (
    first_metric,
    line_names,
    machine_name,
    metrics_of,
    system_metrics,
    telling,
    title_of,
)
from mcp_tui.domain.run import Metric, Run, RunData, RunInfo

GPUS = tuple(f"system/gpu_{n}_utilization_percentage" for n in range(2))


def run(**steps: int) -> Run:
    names = {name.replace("__", "/"): step for name, step in steps.items()}
    metrics = tuple(Metric(key=name, value=1.0, step=step) for name, step in names.items())
    return Run(info=RunInfo(run_id="a"), data=RunData(metrics=metrics))


def test_the_machines_own_come_last() -> None:
    runs = [run(system__cpu=1, z=1), run(a=1)]
    assert metrics_of(runs) == ("a", "z", "system/cpu")


@pytest.mark.parametrize(
    ("steps", "first"),
    [
        ({"acc": 9, "train_loss": 9, "loss": 9}, "loss"),
        ({"acc": 9, "loss": 0}, "acc"),  # a loss without a course tells nothing
        ({"epoch": 9, "val_f1": 9}, "val_f1"),
        ({"system__cpu": 9, "x": 0}, "x"),
        ({"system__cpu": 9}, "system/cpu"),
        ({}, ""),
    ],
)
def test_the_first_metric_tells_of_learning(steps: dict[str, int], first: str) -> None:
    assert first_metric([run(**steps)]) == first


def test_what_most_runs_have_goes_before() -> None:
    assert first_metric([run(loss=1, acc=1), run(acc=1), run(acc=1)]) == "acc"


def test_accelerators_come_together() -> None:
    names = ("loss", "system/cpu_utilization_percentage", *GPUS, "system/gpu_0_memory")
    assert system_metrics(names) == GPUS
    assert system_metrics(["system/disk", "system/memory"]) == ("system/memory",)
    assert system_metrics(["loss"]) == ()


def test_names_are_what_tells_metrics_apart() -> None:
    assert telling(GPUS) == ("gpu 0", "gpu 1")
    assert telling(["loss", "val_loss"]) == ("loss", "val")
    assert telling(["loss"]) == ("loss",)
    assert telling(["a b", "a_b"]) == ("a b", "a_b"), "not told apart otherwise"


def test_lines_are_named_by_run_by_metric_or_by_both() -> None:
    assert line_names(["r1", "r2"], ["loss"]) == {(0, "loss"): "r1", (1, "loss"): "r2"}
    assert list(line_names(["r1"], ["loss", "acc"]).values()) == ["loss", "acc"]
    both = line_names(["r1", "r2"], GPUS)
    assert list(both.values()) == ["gpu 0 r1", "gpu 1 r1", "gpu 0 r2", "gpu 1 r2"]


def test_a_title_is_one_name_where_one_part_differs() -> None:
    assert title_of(GPUS) == "system/gpu_*_utilization_percentage"
    assert title_of(["loss", "val_loss"]) == "loss, val_loss"
    assert title_of(["a\x1b[2Jb"]) == title_of(["a\x1b[2Jb"]).replace("\x1b", "")
    assert title_of([]) == ""


def test_units_are_short() -> None:
    assert machine_name(GPUS[0]) == "gpu_0_utilization %"
    assert machine_name("system/gpu_0_power_usage_watts") == "gpu_0_power_usage W"
    assert machine_name("loss") == "loss"
