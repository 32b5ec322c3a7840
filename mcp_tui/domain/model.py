"""MLflow's registered models and their versions, typed to the fields that the console uses."""

from __future__ import annotations

import msgspec

from mcp_tui.domain.run import Pair


class _Wire(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What all structs here share; unknown fields are skipped, absent ones have defaults."""


class ModelVersion(_Wire, frozen=True, kw_only=True):
    """A version of a registered model. Times are milliseconds since 1970.

    Attributes:
        source: Where its files are; ``models:/NAME/VERSION`` for a copy.
        run_id: The run that made it; empty when it does not say.
        status: ``READY`` once its files are there.
        aliases: Only where the server gives them (a version asked for by itself).
        model_id: MLflow 3's LoggedModel behind it; empty before.
    """

    name: str = ""
    version: str = ""
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    description: str = ""
    source: str = ""
    run_id: str = ""
    status: str = ""
    status_message: str = ""
    user_id: str = ""
    run_link: str = ""
    model_id: str | None = None
    tags: tuple[Pair, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def tag(self) -> dict[str, str]:
        """Tags by name."""
        return {pair.key: pair.value for pair in self.tags}

    @property
    def number(self) -> int:
        """The version as a number; 0 for what is none."""
        return int(self.version) if self.version.isascii() and self.version.isdigit() else 0

    @property
    def uri(self) -> str:
        """How MLflow names it."""
        return f"models:/{self.name}/{self.version}"

    @property
    def copied_from(self) -> tuple[str, str] | None:
        """Name and version of what it is a copy of; None for what is none."""
        name, slash, version = self.source.removeprefix("models:/").rpartition("/")
        if not self.source.startswith("models:/") or not slash or not version.isdigit():
            return None
        return (name, version)


class AliasOf(_Wire, frozen=True, kw_only=True):
    """An alias, and the version that it points to."""

    alias: str = ""
    version: str = ""


class RegisteredModel(_Wire, frozen=True, kw_only=True):
    """A model of the registry; ``latest_versions`` is one for each (old) stage."""

    name: str = ""
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    description: str = ""
    latest_versions: tuple[ModelVersion, ...] = ()
    aliases: tuple[AliasOf, ...] = ()
    tags: tuple[Pair, ...] = ()

    @property
    def alias(self) -> dict[str, str]:
        """Versions by alias."""
        return {each.alias: each.version for each in self.aliases}

    @property
    def newest(self) -> int:
        """The highest version that it is known to have; 0 for none."""
        return max((each.number for each in self.latest_versions), default=0)


class Signature(_Wire, frozen=True, kw_only=True):
    """What a model takes and gives, as its MLmodel file tells: JSON texts, empty where it does not.

    Attributes:
        flavors: How it can be loaded, such as ``sklearn``.
        size: Bytes of its files; None where the file does not say.
    """

    inputs: str = ""
    outputs: str = ""
    params: str = ""
    flavors: tuple[str, ...] = ()
    mlflow_version: str = ""
    size: int | None = None
