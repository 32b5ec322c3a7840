"""Logged models of MLflow 3: what a run made, before anybody registers it."""

from __future__ import annotations

import msgspec

from mcp_tui.domain.run import Metric, Pair


class LoggedModelInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Times are milliseconds since 1970."""

    model_id: str = ""
    experiment_id: str = ""
    name: str = ""
    creation_timestamp_ms: int = 0
    last_updated_timestamp_ms: int = 0
    artifact_uri: str = ""
    status: str = ""
    """``LOGGED_MODEL_PENDING``, ``_READY`` or ``_UPLOAD_FAILED``."""
    status_message: str = ""
    model_type: str = ""
    source_run_id: str = ""
    tags: tuple[Pair, ...] = ()


class LoggedModelData(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Parameters, and metrics that were logged for this model."""

    params: tuple[Pair, ...] = ()
    metrics: tuple[Metric, ...] = ()


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One model."""

    info: LoggedModelInfo = LoggedModelInfo()
    data: LoggedModelData = LoggedModelData()

    @property
    def model_id(self) -> str:
        """``m-`` and 32 hexadecimal digits."""
        return self.info.model_id

    @property
    def state(self) -> str:
        """``pending``, ``ready``, ``upload failed``."""
        return self.info.status.removeprefix("LOGGED_MODEL_").replace("_", " ").lower()

    @property
    def tags(self) -> dict[str, str]:
        """Tags by name."""
        return {pair.key: pair.value for pair in self.info.tags}
