"""scikit-learn's bundled data sets, each cut once into training and held-out examples."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final

import msgspec

HELD_OUT: Final = 0.3
_SEED: Final = 7


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The examples of one use.

    Attributes:
        digest: Of exactly these examples and their classes, as MLflow has it: eight digits.
        ids: Which example, by its place in the bundled data.
    """

    features: Any
    classes: Any
    digest: str
    ids: tuple[str, ...]


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """One data set; ``scaler`` is fitted to the training part."""

    name: str
    source: str
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    training: Part
    held_out: Part
    scaler: Any

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Both parts as MLflow takes them: the inputs of a run."""
        uses = (("training", self.training), ("evaluation", self.held_out))
        return [
            {
                "dataset": {
                    "name": f"{self.name}-{use}",
                    "digest": part.digest,
                    "source_type": "code",
                    "source": f'{{"loader": "{self.source}", "split_seed": {_SEED}}}',
                    "profile": f'{{"num_rows": {len(part.ids)}, "num_features": '
                    f"{len(self.columns)}}}",
                },
                "tags": [{"key": "mlflow.data.context", "value": use}],
            }
            for use, part in uses
        ]


@lru_cache(maxsize=8)
def load(name: str) -> Data:
    """A bundled data set by our name for it: ``digits``, ``wine`` or ``breast-cancer``."""
    import numpy as np
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    loader = f"load_{name.replace('-', '_')}"
    bunch = getattr(datasets, loader)()
    where = np.arange(len(bunch.target))
    first, second = train_test_split(
        where, test_size=HELD_OUT, random_state=_SEED, stratify=bunch.target
    )

    def part(rows: Any) -> Part:
        features = np.ascontiguousarray(bunch.data[rows], dtype=np.float64)
        classes = np.ascontiguousarray(bunch.target[rows])
        digest = hashlib.sha256(features.tobytes() + classes.tobytes()).hexdigest()[:8]
        ids = tuple(f"{name}-{row:04d}" for row in rows)
        return Part(features=features, classes=classes, digest=digest, ids=ids)

    training = part(np.sort(first))
    return Data(
        name=name,
        source=f"sklearn.datasets.{loader}",
        labels=tuple(str(label) for label in bunch.target_names),
        columns=tuple(str(column) for column in bunch.feature_names),
        training=training,
        held_out=part(np.sort(second)),
        scaler=StandardScaler().fit(training.features),
    )
