"""What a list of the registry shows: models and versions, cut down to what a row needs.

A registry may have thousands of models whose descriptions and tags are long: what a row does not
show is asked for again where it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from mcp_tui.domain import approval, keys
from mcp_tui.domain.model import ModelVersion, RegisteredModel
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line

ABOUT: Final = 160
"""Characters of a description that a row keeps."""
SOURCE: Final = 1_000
"""Characters of a source that a row keeps: more are no address of anything."""


class ModelRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A registered model.

    Attributes:
        name: As MLflow has it: what calls are made with.
        aliases: Versions by alias, as :func:`in_order` has them.
        newest: Its highest version that is known; 0 for none.
        updated: Epoch seconds.
    """

    name: str
    aliases: tuple[tuple[str, str], ...] = ()
    newest: int = 0
    updated: float = 0.0
    about: str = ""

    @property
    def shown(self) -> str:
        """Its name on one line."""
        return clean_line(self.name, limit=200)


class VersionRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version of a registered model.

    Attributes:
        updated: Epoch seconds.
        status: Lower case; empty where it is ready.
        source: Where its files are: what serves it may name that alone.
        model_id: MLflow 3's logged model behind it; empty where it does not say.
        records: Levels for which an approval stands in its tags, whatever it is worth.
    """

    name: str
    version: str
    run_id: str = ""
    updated: float = 0.0
    status: str = ""
    about: str = ""
    records: tuple[str, ...] = ()
    source: str = ""
    model_id: str = ""

    @property
    def number(self) -> int:
        """The version as a number; 0 for what is none."""
        return int(self.version) if self.version.isascii() and self.version.isdigit() else 0


class RunRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The run that a version was made by, as far as a row tells of it."""

    run_id: str
    name: str = ""
    status: str = ""
    over: bool = False


def model_row(model: RegisteredModel) -> ModelRow:
    """The row of a registered model."""
    return ModelRow(
        name=model.name,
        aliases=in_order(model.alias),
        newest=model.newest,
        updated=model.last_updated_timestamp / 1000,
        about=clean_line(model.description, limit=ABOUT),
    )


def version_row(version: ModelVersion) -> VersionRow:
    """The row of a version."""
    about = clean_line(version.description, limit=ABOUT)
    copied = version.copied_from
    if copied is not None:
        of = f"copy of {clean_line(copied[0], limit=80)} version {copied[1]}"
        about = f"{of}; {about}" if about else of
    status = clean_line(version.status, limit=40).lower()
    if status == "ready":
        status = ""
    if status and version.status_message:
        about = clean_line(version.status_message, limit=ABOUT)
    return VersionRow(
        name=version.name,
        version=clean_line(version.version, limit=12),
        run_id=version.run_id,
        updated=(version.last_updated_timestamp or version.creation_timestamp) / 1000,
        status=status,
        about=about,
        records=tuple(sorted(clean_line(r, limit=40) for r in approval.records(version.tag))),
        source=version.source[:SOURCE],
        model_id=version.model_id or "",
    )


def run_row(run: Run) -> RunRow:
    """What a row says of a run."""
    return RunRow(
        run_id=run.run_id,
        name=clean_line(run.name, limit=80),
        status="deleted" if run.is_deleted else clean_line(run.info.status, limit=20).lower(),
        over=run.is_over or run.is_deleted,
    )


def in_order(aliases: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Aliases with their versions, what is live first."""
    shown = ((clean_line(alias, limit=80), version) for alias, version in aliases.items())
    return tuple(sorted(shown, key=lambda each: (each[0] != "champion", each)))


def aliases_of(aliases: tuple[tuple[str, str], ...], version: str) -> tuple[str, ...]:
    """The aliases that point to a version."""
    return tuple(alias for alias, to in aliases if to == version)


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that people made: not the records of the console, nor MLflow's own."""
    hidden = (keys.TAG_PLAN_ID, approval.TAG, "mcp-tui.alias.", "mlflow.")
    return {k: v for k, v in tags.items() if not k.startswith(hidden)}
