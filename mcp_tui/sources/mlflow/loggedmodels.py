"""Logged models: what runs made. MLflow has them since 3.0; an older server has none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from mcp_tui.domain.loggedmodel import LoggedModel
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UsageError
from mcp_tui.sources.mlflow.wire import API, PAGE, Wire, given

_MODEL_ID: Final = re.compile(r"m-[0-9a-f]{32}")


class LoggedModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a search.

    Attributes:
        models: Newest first, unless the search said otherwise.
        next_page_token: Empty at the end.
        served: Whether the server has logged models at all.
    """

    is_page: ClassVar[bool] = True

    models: tuple[LoggedModel, ...] = ()
    next_page_token: str = ""
    served: bool = True


class _OneModel(msgspec.Struct, frozen=True, kw_only=True):
    model: LoggedModel = LoggedModel()


class LoggedModels(Wire):
    """What a server says of logged models."""

    async def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        *,
        run_id: str = "",
        filter_: str = "",
        max_results: int = PAGE,
        page_token: str = "",
    ) -> LoggedModelPage:
        """A page of the models of some experiments, newest first.

        Args:
            experiment_ids: Which experiments.
            run_id: Only the models that this run made.
            filter_: MLflow's filter.
            max_results: The most of one page.
            page_token: Of the page before.
        """
        if run_id:
            made = f"source_run_id = '{clean_line(run_id, limit=64)}'"
            filter_ = f"{filter_} AND {made}" if filter_ else made
        body = {
            "experiment_ids": list(experiment_ids),
            "filter": filter_,
            "max_results": max_results,
            "order_by": [{"field_name": "creation_timestamp", "ascending": False}],
            "page_token": page_token,
        }
        try:
            return await self.post(f"{API}/logged-models/search", given(body), LoggedModelPage)
        except ApiError as error:
            if error.status not in (404, 405) or error.reason == "RESOURCE_DOES_NOT_EXIST":
                raise
            return LoggedModelPage(served=False)

    async def get_logged_model(self, model_id: str) -> LoggedModel:
        """A model with its parameters and metrics; ApiError 404 when there is none.

        Raises:
            UsageError: It is no model id.
        """
        return (await self.get(f"{API}/logged-models/{model_path(model_id)}", _OneModel)).model


def model_path(model_id: str) -> str:
    """A model id, as it stands in a path.

    Raises:
        UsageError: It is none.
    """
    if not _MODEL_ID.fullmatch(model_id):
        raise UsageError(f"{clean_line(model_id, limit=80)!r} is not a logged model's id")
    return model_id
