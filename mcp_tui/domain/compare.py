"""Several runs side by side: what differs between them, and which is best in what.

Pure: made from runs as MLflow tells them, and cheap enough to be made again at every key (50 runs
with 200 rows in some milliseconds).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.direction import Direction, Directions, best_of, same
from mcp_tui.domain.figures import figures, plain
from mcp_tui.domain.run import DatasetInput, Run
from mcp_tui.domain.tabular import Cell, to_csv, to_markdown
from mcp_tui.domain.text import clean_line

MAX_TEXT: Final = 8_192


class Section(StrEnum):
    """What a row is about, in the order in which they stand."""

    METRIC = "metric"
    PARAM = "param"
    DATASET = "dataset"
    CODE = "code"
    TAG = "tag"
    SYSTEM = "system"


_ORDER: Final = {section: at for at, section in enumerate(Section)}

_CODE_TAGS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("commit", (keys.TAG_COMMIT,)),
    ("branch", (keys.TAG_BRANCH, "mlflow.gitBranch")),
    ("repository", (keys.TAG_REPO, "mlflow.gitRepoURL")),
    ("source", ("mlflow.source.name",)),
    ("image", ("mlflow.docker.image.uri", "mlflow.docker.image.name")),
    ("image digest", ("mlflow.docker.image.id",)),
)
_IN_CODE: Final = frozenset(tag for _, tags in _CODE_TAGS for tag in tags)
_CONTEXT_TAG: Final = "mlflow.data.context"

# Of everything MLflow and the console note down for themselves, what tells runs apart to a person.
_TOLD: Final = frozenset({keys.TAG_USER, keys.TAG_CLUSTER, keys.TAG_KIND, "mlflow.note.content"})


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run above its column; ``label`` is what tells it from the others."""

    run_id: str
    name: str
    label: str
    status: str
    started: float | None


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row; each tuple has one entry a run.

    Attributes:
        texts: What the cells say; None where nothing was logged, which is not the empty text.
        values: Of a metric, as numbers, NaN and infinity among them; empty otherwise.
        best: Places of the best values; empty where none is better or nobody knows which way.
        differs: Whether the runs do not all say the same. Logged here and not there differs.
        internal: MLflow's or the console's own book-keeping.
    """

    section: Section
    name: str
    texts: tuple[str | None, ...]
    differs: bool
    values: tuple[float | None, ...] = ()
    direction: Direction = Direction.NEITHER
    best: tuple[int, ...] = ()
    internal: bool = False


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All rows: those that differ first, each part in the order of the sections and names."""

    runs: tuple[Head, ...]
    rows: tuple[Row, ...]

    def shown(self, *, everything: bool = False) -> tuple[Row, ...]:
        """The rows that differ, without book-keeping; or all there are."""
        if everything:
            return self.rows
        return tuple(row for row in self.rows if row.differs and not row.internal)

    def hidden(self) -> int:
        """How many rows :meth:`shown` leaves out."""
        return len(self.rows) - len(self.shown())


def compare(
    runs: Sequence[Run],
    *,
    directions: Directions | None = None,
    joined: Mapping[str, Mapping[str, str]] | None = None,
) -> Comparison:
    """Put runs side by side, in the order given.

    Args:
        runs: Any number, one included.
        directions: What the configuration says of metrics.
        joined: By run id, what is known of its code from elsewhere (its job's image digest); goes
            before what the run's tags say.
    """
    directions = directions or Directions()
    joined = joined or {}
    rows = [
        *_metrics(runs, directions),
        *_texts(Section.PARAM, [run.params for run in runs]),
        *_texts(Section.DATASET, [datasets(run.inputs.dataset_inputs) for run in runs]),
        *_texts(Section.CODE, [{**code(run), **joined.get(run.run_id, {})} for run in runs]),
        *_texts(Section.TAG, [_other_tags(run) for run in runs]),
    ]
    rows.sort(key=lambda row: (not row.differs, row.internal, _ORDER[row.section], row.name))
    return Comparison(runs=heads(runs), rows=tuple(rows))


def heads(runs: Sequence[Run]) -> tuple[Head, ...]:
    """What stands above the columns; runs of one name are told apart by their ids."""
    names = [clean_line(run.info.run_name, limit=200).strip() for run in runs]
    found = []
    for run, name in zip(runs, names, strict=True):
        short = clean_line(run.run_id, limit=40)[:8]
        label = name if name and names.count(name) == 1 else f"{name} {short}".strip()
        start = run.info.start_time
        found.append(
            Head(
                run_id=clean_line(run.run_id, limit=80),
                name=name,
                label=label or "(no name)",
                status=clean_line(run.info.status, limit=40),
                started=start / 1000 if start else None,
            )
        )
    return tuple(found)


def _metrics(runs: Sequence[Run], directions: Directions) -> Iterable[Row]:
    each = [{m.key: m.number for m in run.data.metrics} for run in runs]
    for name in dict.fromkeys(key for values in each for key in values):
        values = tuple(found.get(name) for found in each)
        direction = directions.of(name)
        yield Row(
            section=Section.SYSTEM if name.startswith("system/") else Section.METRIC,
            name=clean_line(name),
            texts=tuple(figures(values)),
            differs=_differ(values),
            values=values,
            direction=direction,
            best=best_of(values, direction),
        )


def _differ(values: Sequence[float | None]) -> bool:
    first = values[0]
    if first is None:
        return any(value is not None for value in values)
    return any(value is None or not same(first, value) for value in values)


def _texts(section: Section, each: Sequence[Mapping[str, str]]) -> Iterable[Row]:
    for name in dict.fromkeys(key for values in each for key in values):
        texts = tuple(
            clean_line(found[name], limit=MAX_TEXT) if name in found else None for found in each
        )
        # What was cut, or differs in what is not shown, still differs.
        raw = [found.get(name) for found in each]
        yield Row(
            section=section,
            name=clean_line(name),
            texts=texts,
            differs=any(text != raw[0] for text in raw),
            internal=section is Section.TAG and _is_internal(name),
        )


def _is_internal(tag: str) -> bool:
    return tag.startswith(("mlflow.", "mcp-tui.")) and tag not in _TOLD


def _other_tags(run: Run) -> dict[str, str]:
    return {
        tag: text
        for tag, text in run.tags.items()
        if tag not in _IN_CODE and tag != keys.TAG_RUN_NAME
    }


def code(run: Run) -> dict[str, str]:
    """Commit, branch, repository, source and image of a run, as far as its tags tell."""
    tags = run.tags
    found = {}
    for name, known in _CODE_TAGS:
        text = next((tags[tag] for tag in known if tags.get(tag)), "")
        if text:
            found[name] = text
    return found


def datasets(inputs: Iterable[DatasetInput]) -> dict[str, str]:
    """Data sets by context: ``training name``, ``training digest`` and ``training source``."""
    found: dict[str, dict[str, list[str]]] = {}
    for each in sorted(inputs, key=lambda i: (i.dataset.name, i.dataset.digest)):
        context = context_of(each) or "data"
        parts = found.setdefault(context, {})
        for name, text in (
            ("name", each.dataset.name),
            ("digest", each.dataset.digest),
            ("source", each.dataset.address),
        ):
            parts.setdefault(name, []).append(text)
    return {
        f"{context} {name}": "; ".join(texts)
        for context, parts in found.items()
        for name, texts in parts.items()
        if any(texts)
    }


def context_of(used: DatasetInput) -> str:
    """What a data set was used for: ``training``, ``evaluation``; empty when nobody said."""
    return next((tag.value for tag in used.tags if tag.key == _CONTEXT_TAG), "")


def as_document(comparison: Comparison, *, everything: bool = False) -> dict[str, Any]:
    """For JSON: every row with its values by run, null where nothing was logged."""
    ids = [head.run_id for head in comparison.runs]
    return {
        "runs": [msgspec.to_builtins(head) for head in comparison.runs],
        "rows": [
            {
                "section": row.section.value,
                "name": row.name,
                "direction": row.direction.value,
                "differs": row.differs,
                "values": [plain(v) for v in row.values] if row.values else list(row.texts),
                "best": [ids[at] for at in row.best],
            }
            for row in comparison.shown(everything=everything)
        ],
    }


def as_csv(comparison: Comparison, *, everything: bool = False) -> str:
    """For a spreadsheet: metrics with all their digits, every text harmless."""
    head = ["section", "name", "direction", *(run.label for run in comparison.runs)]

    def cells(row: Row) -> Sequence[Cell]:
        if not row.values:
            return row.texts
        return [
            value if value is None or math.isfinite(value) else text
            for value, text in zip(row.values, row.texts, strict=True)
        ]

    return to_csv(
        head,
        (
            [row.section.value, row.name, row.direction.value, *cells(row)]
            for row in comparison.shown(everything=everything)
        ),
    )


def as_markdown(comparison: Comparison, *, everything: bool = False) -> str:
    """For a review: the best of each row has ``(best)`` beside it."""
    head = ["", "", *(run.label for run in comparison.runs)]
    return to_markdown(
        head,
        (
            [
                row.section.value,
                row.name,
                *(
                    f"{text} (best)" if at in row.best else text
                    for at, text in enumerate(row.texts)
                ),
            ]
            for row in comparison.shown(everything=everything)
        ),
    )
