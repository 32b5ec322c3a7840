"""Runs as they are written: each call is sent once, and says so when its answer is lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from mcp_tui.domain.run import Metric, Run, RunInfo
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.errors import ApiError, UnknownOutcomeError
from mcp_tui.sources.mlflow.runs import OneRun
from mcp_tui.sources.mlflow.wire import API, Wire, given, pairs

MAX_PARAM: Final = 6_000
MAX_TAG: Final = 8_000


class _Updated(msgspec.Struct, frozen=True, kw_only=True):
    run_info: RunInfo = RunInfo()


class RunWrites(Wire):
    """What can be changed of runs."""

    async def create_run(
        self,
        experiment_id: str,
        *,
        run_name: str,
        tags: Mapping[str, str],
        start_time_ms: int,
    ) -> Run:
        """Make a run. Two identical calls make two: give a plan id among the tags."""
        body = {
            "experiment_id": experiment_id,
            "run_name": run_name,
            "start_time": start_time_ms,
            "tags": pairs(tags, MAX_TAG),
        }
        return (await self.post(f"{API}/runs/create", body, OneRun)).run

    async def update_run(
        self, run_id: str, *, status: str = "", end_time_ms: int | None = None, run_name: str = ""
    ) -> RunInfo:
        """Set what is given; the same call twice does no harm."""
        body = {"run_id": run_id, "status": status, "end_time": end_time_ms, "run_name": run_name}
        return (await self.post(f"{API}/runs/update", given(body), _Updated)).run_info

    async def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set one tag; the last write wins."""
        body = {"run_id": run_id, "key": key, "value": value[:MAX_TAG]}
        await self.call("POST", f"{API}/runs/set-tag", body)

    async def log_batch(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Sequence[Metric] = (),
    ) -> None:
        """Log up to 100 parameters, 100 tags and 1,000 metrics at once.

        Parameters cannot be changed: another value for one that is there is refused (400).
        """
        body = {
            "run_id": run_id,
            "params": pairs(params or {}, MAX_PARAM),
            "tags": pairs(tags or {}, MAX_TAG),
            "metrics": [
                {"key": m.key, "value": m.value, "timestamp": m.timestamp, "step": m.step}
                for m in metrics
            ],
        }
        await self.call("POST", f"{API}/runs/log-batch", body)

    async def log_inputs(self, run_id: str, datasets: Iterable[Mapping[str, str]]) -> None:
        """Record data sets (name, digest, source) as inputs of a run."""
        inputs = [
            {
                "dataset": {
                    "name": each["name"],
                    "digest": each.get("digest") or "unknown",
                    "source_type": "uri",
                    "source": each.get("source", ""),
                }
            }
            for each in datasets
        ]
        body = {"run_id": run_id, "datasets": inputs}
        await self.call("POST", f"{API}/runs/log-inputs", body)

    # Changes to the record

    async def edit_run(self, edit: RunEdit) -> None:
        """Send one change to a run's record, once.

        A tag that is not there is deleted already, which is success; deleting and restoring twice
        are the same as once.

        Raises:
            UsageError: MLflow cannot take it; nothing was sent.
            UnknownOutcomeError: Its answer was lost: :meth:`is_done` says whether it was done.
        """
        edit = edit.checked()
        path, body = edit_call(edit)
        try:
            await self.call("POST", path, body)
        except UnknownOutcomeError as error:
            raise UnknownOutcomeError(
                error.what, where=error.where, hint=f"look at the run: {_LOOK[edit.kind]}"
            ) from None
        except ApiError as error:
            if edit.kind is not EditKind.DELETE_TAG or not no_such_tag(error):
                raise

    async def is_done(self, edit: RunEdit) -> bool:
        """Whether a change whose answer was lost shows on the run; ApiError 404 without a run."""
        params = [("run_id", edit.run_id)]
        return edit.is_done((await self.get(f"{API}/runs/get", OneRun, params)).run)


def no_such_tag(error: ApiError) -> bool:
    """Whether a tag was not deleted because it is not there: that is as good."""
    return error.reason == "RESOURCE_DOES_NOT_EXIST" and error.what.startswith("No tag")


_LOOK: Final = {
    EditKind.SET_TAG: "has it the tag with the new value?",
    EditKind.DELETE_TAG: "has it the tag still?",
    EditKind.RENAME: "has it the new name?",
    EditKind.DELETE: "is it among the deleted ones?",
    EditKind.RESTORE: "is it among the deleted ones still?",
}


def edit_call(edit: RunEdit) -> tuple[str, dict[str, str]]:
    """The path and the body by which a change is sent."""
    run = {"run_id": edit.run_id}
    match edit.kind:
        case EditKind.SET_TAG:
            return f"{API}/runs/set-tag", {**run, "key": edit.key, "value": edit.value}
        case EditKind.DELETE_TAG:
            return f"{API}/runs/delete-tag", {**run, "key": edit.key}
        case EditKind.RENAME:
            return f"{API}/runs/update", {**run, "run_name": edit.value}
        case EditKind.DELETE:
            return f"{API}/runs/delete", run
        case EditKind.RESTORE:
            return f"{API}/runs/restore", run
