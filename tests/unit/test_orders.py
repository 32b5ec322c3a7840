"""Lists are in the order that their headings say."""

from __future__ import annotations

import pytest

from mcp_tui.domain.modelrow import ModelRow
from mcp_tui.domain.run import Run, RunData, RunInfo
from mcp_tui.store.experimentwatch import ExperimentRow
from mcp_tui.store.runlist import RunList
from mcp_tui.tui.live.experiment_rows import ExperimentRows
from mcp_tui.tui.live.jobs_model import JobsModel
from mcp_tui.tui.live.models import _merged
from mcp_tui.tui.live.models_model import Item
from mcp_tui.tui.live.runs_rows import RunRows

NAMES = {("dev", "1"): "zeta", ("dev", "2"): "mid", ("b/c", "1"): "Alpha"}


@pytest.mark.parametrize("reverse", [False, True])
def test_experiments_by_context(reverse: bool) -> None:
    shown = ExperimentRows(lambda _: False)
    shown.scope(2)
    for context, newest in (("b/c", 2), ("a", 9)):
        rows = [ExperimentRow(experiment_id=str(n), name="n", newest=newest + n) for n in (1, 2)]
        shown.take(context, {row.experiment_id: row for row in rows})
    shown.set_sort("context", reverse)
    keys = [shown.row(n).key for n in range(shown.count)]
    assert keys == (
        ["b/c/2", "b/c/1", "a/2", "a/1"] if reverse else ["a/2", "a/1", "b/c/2", "b/c/1"]
    )
    assert [shown.index_of(key) for key in keys] == [0, 1, 2, 3]
    shown.take("a", {"1": ExperimentRow(experiment_id="1", name="n", newest=50)})
    assert [shown.row(n).key for n in range(shown.count)].index("a/1") == (2 if reverse else 0)
    shown.scope(1)
    assert shown.sort == ("", False), "the column is gone"


def runs_of(*each: tuple[str, str, str]) -> RunList:
    runs = RunList()
    infos = [
        RunInfo(run_id=name * 32, run_name=name, experiment_id=of, status=status, start_time=n + 1)
        for n, (name, of, status) in enumerate(each)
    ]
    runs.take([Run(info=info, data=RunData()) for info in infos])
    return runs


def names(shown: RunRows) -> str:
    return "".join(shown.row(n).key[-1] for n in range(shown.count))


def test_runs_by_the_name_of_their_experiment() -> None:
    known = dict(NAMES)
    shown = RunRows(lambda *_: (None, False), lambda c, i: known[c, i], lambda _: False)
    shown.take("dev", runs_of(("a", "1", "FINISHED"), ("b", "2", "FINISHED")), None)
    shown.take("b/c", runs_of(("c", "1", "FINISHED")), None)
    shown.set_sort("experiment", False)
    assert names(shown) == "cba"
    known["dev", "1"] = "aaa"  # renamed meanwhile: rows are found all the same
    assert [shown.index_of(f"dev/{name * 32}") for name in "ab"] == [2, 1]
    shown.set_sort("experiment", True)
    assert names(shown) == "bca"


def test_runs_by_what_somebody_should_look_at() -> None:
    words = ("FINISHED", "RUNNING", "FAILED", "SCHEDULED", "KILLED", "NEW")
    shown = RunRows(lambda *_: (None, False), lambda _, i: i, lambda _: False)
    each = [(name, "1", word) for name, word in zip("abcdef", words, strict=True)]
    shown.take("dev", runs_of(*each), None)
    shown.set_sort("state", False)
    assert names(shown) == "cebdaf"
    shown.set_sort("state", True)
    assert names(shown) == "fadbec"


def test_the_models_of_several_registries_are_one_list() -> None:
    def of(context: str, *models: tuple[str, float]) -> list[Item]:
        return [
            Item(context=context, model=ModelRow(name=name, updated=when)) for name, when in models
        ]

    def shown(items: list[Item]) -> str:
        return "".join(item.model.name for item in items)

    named = of("a", ("b", 1.0), ("d", 9.0)), of("b", ("a", 5.0), ("c", 7.0))
    assert shown(_merged(named, "", False)) == "abcd"
    assert shown(_merged([of_[::-1] for of_ in named], "name", True)) == "dcba"
    newest = of("a", ("d", 9.0), ("b", 1.0)), of("b", ("c", 7.0), ("a", 5.0))
    assert shown(_merged(newest, "since", False)) == "dcab"
    assert shown(_merged([of_[::-1] for of_ in newest], "since", True)) == "bacd"


def test_jobs_by_a_column_that_goes_are_by_urgency_again() -> None:
    model = JobsModel(lambda: ("ready", ()), lambda _context: False, lambda: 0.0)
    for column, narrow, kept in (
        ("namespace", {"contexts": 2, "namespaced": True}, False),
        ("context", {"contexts": 1, "namespaced": False}, False),
        ("name", {"contexts": 1, "namespaced": True}, True),
    ):
        model.scope(contexts=2, namespaced=False)
        model.set_sort(column, True)
        model.scope(**narrow)
        assert model.sort == ((column, True) if kept else ("", False))
