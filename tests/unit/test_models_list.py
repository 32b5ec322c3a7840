"""The Models pane's list: what a filter shows is what passes now."""

from __future__ import annotations

from mcp_tui.domain.modelrow import ModelRow, RunRow, VersionRow
from mcp_tui.tui.live.models_model import Item, ModelsModel


def model_of() -> ModelsModel:
    return ModelsModel(lambda: ("ready", ()), lambda _: False, lambda *_: None, lambda *_: None)


def ranker(champion: str) -> Item:
    row = ModelRow(name="ranker", aliases=(("champion", champion),), newest=5)
    return Item(context="prod", model=row)


def read(model: ModelsModel, top: Item, *, failed: str = "") -> None:
    """What the registry says now, as the pane is told it."""
    versions = [
        Item(
            context="prod",
            model=top.model,
            version=VersionRow(name="ranker", version=number, run_id="a"),
            run=RunRow(run_id="a", status="failed" if number == failed else "finished"),
        )
        for number in ("5", "4")
    ]
    model.put_models([top], more=False)
    model.unfold(top.key)
    model.put_versions(top, versions, more=False, fault="")


def shown(model: ModelsModel) -> list[str]:
    return [model.name_of(model.row(n).key) for n in range(model.count)]


def test_a_filter_follows_an_alias_that_moves() -> None:
    model = model_of()
    read(model, ranker("4"))
    model.set_filter("alias=champion")
    assert shown(model) == ["ranker", "ranker/4"]
    read(model, ranker("5"))
    assert shown(model) == ["ranker", "ranker/5"]


def test_faults_follow_what_fails() -> None:
    model = model_of()
    read(model, ranker("4"), failed="4")
    model.set_faults(True)
    assert shown(model) == ["ranker", "ranker/4"]
    read(model, ranker("4"), failed="5")
    assert shown(model) == ["ranker", "ranker/5"]
    model.put_models([ranker("4"), Item(context="prod", model=ModelRow(name="ctr"))], more=False)
    assert shown(model) == ["ranker", "ranker/5"], "a model that came is sifted too"
    model.set_faults(False)
    assert len(shown(model)) == 4


def test_a_model_is_found_by_what_it_says_now() -> None:
    model = model_of()
    model.put_models([ranker("4"), Item(context="prod", model=ModelRow(name="ctr"))], more=False)
    model.set_filter("serves")
    assert not model.count
    served = Item(context="prod", model=ModelRow(name="ctr"), served="serves 3")
    model.put_models([ranker("4"), served], more=False)
    assert shown(model) == ["ctr"]
