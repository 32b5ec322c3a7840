"""Experiments: pages of them, one by name, and one made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from mcp_tui.domain.run import Experiment
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UnknownOutcomeError, UnreachableError, UsageError
from mcp_tui.sources.mlflow.runs import View
from mcp_tui.sources.mlflow.wire import API, PAGE, Wire, given


class ExperimentPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of experiments."""

    is_page: ClassVar[bool] = True

    experiments: tuple[Experiment, ...] = ()
    next_page_token: str = ""


class _OneExperiment(msgspec.Struct, frozen=True, kw_only=True):
    experiment: Experiment = Experiment()


class Experiments(Wire):
    """What a server says of experiments."""

    async def get_experiment_by_name(self, name: str) -> Experiment | None:
        """The experiment of that name, a deleted one too; None when there is none."""
        try:
            found = await self.get(
                f"{API}/experiments/get-by-name", _OneExperiment, [("experiment_name", name)]
            )
        except ApiError as error:
            if error.status == 404 and error.reason == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return found.experiment if found.experiment.experiment_id else None

    async def search_experiments(
        self,
        *,
        max_results: int = PAGE,
        page_token: str = "",
        filter_: str = "",
        order_by: Sequence[str] = (),
        view: View = "ACTIVE_ONLY",
    ) -> ExperimentPage:
        """A page of experiments, the newest made first unless ``order_by`` says otherwise.

        Args:
            max_results: The most of one page.
            page_token: Of the page before.
            filter_: MLflow's filter, such as ``name LIKE 'ranker%'``.
            order_by: Such as ``last_update_time DESC``.
            view: Deleted experiments or not.
        """
        body = {
            "max_results": max_results,
            "page_token": page_token,
            "filter": filter_,
            "order_by": list(order_by),
            "view_type": view,
        }
        return await self.post(f"{API}/experiments/search", given(body), ExperimentPage)

    async def get_experiment(self, experiment_id: str) -> Experiment:
        """An experiment by its id, a deleted one too; ApiError 404 when there is none."""
        params = [("experiment_id", experiment_id)]
        return (await self.get(f"{API}/experiments/get", _OneExperiment, params)).experiment

    async def create_experiment(self, name: str) -> str:
        """Make an experiment; its id. Names are unique, so a second one is refused (400)."""
        answer = await self.call("POST", f"{API}/experiments/create", {"name": name})
        return str(answer.get("experiment_id", ""))

    async def ensure_experiment(self, name: str) -> Experiment:
        """The experiment of that name, made if it is not there. Safe to repeat: names are unique.

        Raises:
            UsageError: It is deleted, and its name cannot be used.
        """
        found = await self.get_experiment_by_name(name)
        if found is None:
            try:
                await self.create_experiment(name)
            except UnknownOutcomeError:
                pass  # Whether it was made shows below.
            except ApiError as error:
                if error.reason != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = await self.get_experiment_by_name(name)
        shown = clean_line(name, limit=100)
        if found is None:
            raise UnreachableError(f"experiment {shown!r} was not made", where=self.where)
        if found.lifecycle_stage == "deleted":
            raise UsageError(
                f"experiment {shown!r} is deleted in MLflow",
                where=self.where,
                hint="restore it, or name another",
            )
        return found
