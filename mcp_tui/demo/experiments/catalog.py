"""The runs that are made, in order. Data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A run.

    Attributes:
        name: Of the run, once in its experiment.
        kind: What is trained (see :mod:`mcp_tui.demo.experiments.fits`); ``sweep`` trains nothing.
        params: Of the model; logged as they are.
        steps: Epochs, or tens of trees.
        ago: Hours before now that it began.
        minutes: How long it is said to have taken.
        user: Who started it.
        traced: Whether commit, image and config are on record, as a submission leaves them.
        parent: The run that it is nested in.
        status: ``FAILED`` trains on a broken table, ``RUNNING`` stops without a word.
        note: About it, in words.
    """

    name: str
    kind: str
    params: Mapping[str, float | int | str] = msgspec.field(default_factory=dict)
    steps: int = 0
    ago: float
    minutes: float = 12.0
    user: str = "alice"
    traced: bool = True
    parent: str = ""
    status: str = "FINISHED"
    note: str = ""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered model."""

    run: str
    ago: float
    description: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A move of an alias; ``recorded`` ones leave what a promotion of the console leaves."""

    alias: str
    to: str
    ago: float
    who: str
    why: str = ""
    verb: str = "promote"
    recorded: bool = True


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model, its versions and how its aliases came to where they are."""

    name: str
    experiment: str
    description: str
    versions: tuple[Version, ...]
    moves: tuple[Step, ...]


def _mlp(hidden: str, rate: float, **more: float) -> Mapping[str, float | int | str]:
    return {"hidden": hidden, "learning_rate": rate, "batch_size": 64, "alpha": 0.0001, **more}


EXPERIMENTS: Final[Mapping[str, tuple[Spec, ...]]] = {
    "digits": (
        Spec(
            name="logistic",
            kind="logistic",
            params={"learning_rate": 0.01, "alpha": 0.001},
            steps=30,
            ago=165,
            minutes=6,
            note="the baseline",
        ),
        Spec(
            name="forest",
            kind="forest",
            params={"trees": 64, "max_depth": 12},
            steps=8,
            ago=119,
            minutes=9,
            user="bo",
        ),
        Spec(
            name="mlp-32", kind="mlp", params=_mlp("32", 0.003), steps=40, ago=76, user="eva",
            minutes=14,
        ),
        Spec(
            name="rate-warm-up",
            kind="softmax",
            params={"learning_rate": 0.001, "growth": 1.7, "batch_size": 64},
            steps=30,
            ago=72,
            minutes=7,
            user="eva",
            traced=False,
            note="the rate goes on growing, by mistake",
        ),
        Spec(
            name="svm-night",
            kind="svm",
            params={"C": 4.0, "table": "digits_nightly"},
            ago=51,
            minutes=1,
            user="ml-ci",
            status="FAILED",
        ),
        Spec(name="sweep-lr", kind="sweep", params={"search": "grid"}, ago=30, minutes=44,
             user="ml-ci"),
        *(
            Spec(
                name=f"sweep-lr-{number}",
                kind="mlp",
                params=_mlp("48", rate),
                steps=24,
                ago=30 - number * 0.18,
                minutes=10,
                user="ml-ci",
                parent="sweep-lr",
            )
            for number, rate in enumerate((0.0003, 0.001, 0.004, 0.03), 1)
        ),
        Spec(
            name="mlp-128x64",
            kind="mlp",
            params=_mlp("128,64", 0.002),
            steps=40,
            ago=26,
            minutes=22,
            user="eva",
            note="wider and deeper",
        ),
        Spec(
            name="mlp-fast",
            kind="mlp",
            params=_mlp("10", 0.003),
            steps=20,
            ago=25,
            minutes=5,
            user="bo",
            note="a tenth of the size",
        ),
        Spec(
            name="mlp-night",
            kind="mlp",
            params=_mlp("256", 0.0005),
            steps=9,
            ago=9,
            minutes=8,
            user="ml-ci",
            status="RUNNING",
        ),
    ),
    "wine": (
        Spec(name="logistic", kind="logistic", params={"learning_rate": 0.01, "alpha": 0.01},
             steps=25, ago=141, minutes=2, user="bo"),
        Spec(name="svm", kind="svm", params={"C": 2.0}, ago=140, minutes=1, user="bo",
             traced=False),
        Spec(name="neighbours", kind="neighbours", params={"k": 7}, ago=139.5, minutes=1,
             user="bo", traced=False),
        Spec(name="forest", kind="forest", params={"trees": 36, "max_depth": 6}, steps=6, ago=138,
             minutes=3, user="bo"),
        Spec(name="mlp-16", kind="mlp", params=_mlp("16", 0.01), steps=40, ago=90, minutes=4),
    ),
    "breast-cancer": (
        Spec(name="logistic", kind="logistic", params={"learning_rate": 0.01, "alpha": 0.01},
             steps=25, ago=100, minutes=3, user="eva"),
        Spec(name="svm", kind="svm", params={"C": 1.0}, ago=99, minutes=1, user="eva"),
        Spec(name="forest", kind="forest", params={"trees": 36, "max_depth": 8}, steps=6, ago=98,
             minutes=4, user="eva"),
        Spec(name="neighbours", kind="neighbours", params={"k": 9}, ago=97, minutes=1,
             user="eva", traced=False),
        Spec(name="mlp-24", kind="mlp", params=_mlp("24", 0.005), steps=40, ago=20, minutes=6,
             user="alice"),
    ),
}  # fmt: skip

LOGGED: Final = frozenset({"wine"})
"""Experiments whose models are logged as MLflow 3 has it: beside the run, not in its artifacts."""

MODELS: Final[tuple[Model, ...]] = (
    Model(
        name="digits-classifier",
        experiment="digits",
        description="Reads a handwritten digit",
        versions=(
            Version(run="logistic", ago=160),
            Version(run="forest", ago=117),
            Version(run="mlp-32", ago=75),
            Version(run="mlp-128x64", ago=24, description="passes the gates of production"),
            Version(run="mlp-fast", ago=23, description="small, but it misses digits"),
        ),
        moves=(
            Step(alias="champion", to="1", ago=159, who="alice", why="good enough to begin with"),
            Step(alias="champion", to="2", ago=116, who="bo", why="F1 is a point better"),
            Step(
                alias="champion", to="1", ago=112, who="alice", verb="rollback",
                why="ten times as slow; the kiosk times out",
            ),
            Step(alias="champion", to="3", ago=74, who="eva", why="as good as the forest; fast"),
            Step(alias="challenger", to="4", ago=23.5, who="eva", why="to be looked at"),
        ),
    ),
    Model(
        name="cancer-screen",
        experiment="breast-cancer",
        description="Whether a biopsy is benign",
        versions=(Version(run="logistic", ago=95), Version(run="forest", ago=94)),
        moves=(
            Step(alias="champion", to="1", ago=93, who="eva", why="the first"),
            Step(alias="champion", to="2", ago=40, who="", recorded=False),
        ),
    ),
    Model(
        name="wine-cultivar",
        experiment="wine",
        description="",
        versions=(Version(run="forest", ago=130),),
        moves=(),
    ),
)  # fmt: skip
