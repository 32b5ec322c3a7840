"""MLflow's REST API over httpx: 4 ms of CPU for a page of runs where its client takes 30.

Reads may be repeated by the caller; a write is sent once. When its answer never came,
:class:`UnknownOutcomeError` says so, and :meth:`MlflowClient.find_run_by_plan` looks for what it
made by the client-made tag. MLflow has no compare-and-set and no count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.decode import DecodeError, decode
from mcp_tui.domain.run import Experiment, Metric, Run, RunInfo
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import ApiError, UnknownOutcomeError, UnreachableError, UsageError
from mcp_tui.sources.endpoint import Caller
from mcp_tui.sources.gate import split_query
from mcp_tui.sources.kubernetes import failures
from mcp_tui.sources.kubernetes.transport import Reply

T = TypeVar("T")

API: Final = "/api/2.0/mlflow"
AJAX: Final = "/ajax-api/2.0/mlflow"
IDS_PER_SEARCH: Final = 50
"""One search for 50 run ids costs the server 52 ms of CPU."""

PAGE: Final = 100
"""Pages of at most 100 runs keep the event loop's lag under 10 ms."""

MAX_PARAM: Final = 6_000
MAX_TAG: Final = 8_000
MAX_POINTS: Final = 2_500

_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_PLAN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a search; an unknown experiment gives an empty one."""

    runs: tuple[Run, ...] = ()
    next_page_token: str = ""


class ExperimentPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of experiments."""

    experiments: tuple[Experiment, ...] = ()
    next_page_token: str = ""


class _OneRun(msgspec.Struct, frozen=True, kw_only=True):
    run: Run = Run()


class _OneExperiment(msgspec.Struct, frozen=True, kw_only=True):
    experiment: Experiment = Experiment()


class _Updated(msgspec.Struct, frozen=True, kw_only=True):
    run_info: RunInfo = RunInfo()


class _Points(msgspec.Struct, frozen=True, kw_only=True):
    metrics: tuple[Metric, ...] = ()
    next_page_token: str = ""


class MlflowClient:
    """One MLflow server.

    Args:
        caller: How it is reached (:func:`mcp_tui.sources.endpoint.connect`).
        deadline: Seconds around each call, unless the call says otherwise.

    Every method raises what :meth:`Caller.call` raises.
    """

    def __init__(self, caller: Caller, *, deadline: float = 10.0) -> None:
        self._caller = caller
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"MlflowClient({self.where!r})"

    @property
    def where(self) -> str:
        """The endpoint, as messages call it."""
        return self._caller.where

    async def aclose(self) -> None:
        """Close its connections."""
        await self._caller.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Sequence[tuple[str, str]] = (),
        deadline: float | None = None,
    ) -> dict[str, Any]:
        """Any call of the API, as plain data; the query may stand in ``path``."""
        path, query = split_query(path)
        reply = await self._send(method, path, body, [*query, *params], deadline)
        return self._decode(reply, dict[str, Any], method, path)

    async def version(self) -> str:
        """The server's version, such as ``3.17.2``; empty when it does not say (before 1.28)."""
        try:
            reply = await self._caller.call("GET", "/version", deadline=self._deadline)
        except ApiError as error:
            if error.status != 404:
                raise
            # A server too old for /version still has experiments; anything else raises here.
            await self.search_experiments(max_results=1)
            return ""
        text = one_line(reply.body[:200].decode("utf-8", "replace"))
        if re.fullmatch(r"[0-9]+(\.[0-9A-Za-z]+)+", text):
            return text
        raise failures.not_json(dict(reply.headers), reply.body, where=self.where)

    # Experiments

    async def get_experiment_by_name(self, name: str) -> Experiment | None:
        """The experiment of that name, a deleted one too; None when there is none."""
        try:
            found = await self._get(
                f"{API}/experiments/get-by-name", _OneExperiment, [("experiment_name", name)]
            )
        except ApiError as error:
            if error.status == 404 and error.reason == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return found.experiment if found.experiment.experiment_id else None

    async def search_experiments(
        self, *, max_results: int = PAGE, page_token: str = "", filter_: str = ""
    ) -> ExperimentPage:
        """A page of active experiments."""
        body = {"max_results": max_results, "page_token": page_token, "filter": filter_}
        return await self._post(f"{API}/experiments/search", _given(body), ExperimentPage)

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

    # Runs

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
            "tags": _pairs(tags, MAX_TAG),
        }
        return (await self._post(f"{API}/runs/create", body, _OneRun)).run

    async def get_run(self, run_id: str) -> Run:
        """A run with its newest metrics; ApiError 404 when there is none."""
        return (await self._get(f"{API}/runs/get", _OneRun, [("run_id", run_id)])).run

    async def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_: str = "",
        *,
        max_results: int = PAGE,
        order_by: Sequence[str] = (),
        page_token: str = "",
        view: str = "ACTIVE_ONLY",
        deadline: float | None = None,
    ) -> RunPage:
        """A page of runs. MLflow's filters know AND only, and IN only for run ids."""
        body = {
            "experiment_ids": list(experiment_ids),
            "filter": filter_,
            "max_results": max_results,
            "order_by": list(order_by),
            "page_token": page_token,
            "run_view_type": view,
        }
        return await self._post(f"{API}/runs/search", _given(body), RunPage, deadline)

    async def runs_by_plan(self, plan_id: str, experiment_ids: Sequence[str]) -> tuple[Run, ...]:
        """Every run with that plan id, deleted ones too, the oldest first.

        Raises:
            UsageError: It is no plan id.
        """
        if not _PLAN_ID.fullmatch(plan_id):
            raise UsageError(f"{clean_line(plan_id, limit=80)!r} is not a plan id")
        ids = [each for each in experiment_ids if each]
        if not ids:
            return ()
        filter_ = f"tags.`{keys.TAG_PLAN_ID}` = '{plan_id}'"
        page = await self.search_runs(ids, filter_, order_by=["attributes.start_time"], view="ALL")
        return page.runs

    async def find_run_by_plan(self, plan_id: str, experiment_ids: Sequence[str]) -> Run | None:
        """The (first) run that a plan made; None when it made none."""
        runs = await self.runs_by_plan(plan_id, experiment_ids)
        return runs[0] if runs else None

    async def newest(self, run_ids: Iterable[str], experiment_ids: Sequence[str]) -> dict[str, Run]:
        """Runs by id, with the newest value of each metric; unknown ones are absent.

        Fifty ids go in one search; what is no run id is not asked for.
        """
        wanted = sorted({each for each in run_ids if _RUN_ID.fullmatch(each)})
        found: dict[str, Run] = {}
        experiments = sorted({each for each in experiment_ids if each})
        if not experiments:
            return found
        for start in range(0, len(wanted), IDS_PER_SEARCH):
            listed = ", ".join(f"'{each}'" for each in wanted[start : start + IDS_PER_SEARCH])
            page = await self.search_runs(
                experiments,
                f"attributes.run_id IN ({listed})",
                max_results=IDS_PER_SEARCH,
                view="ALL",
            )
            found |= {run.run_id: run for run in page.runs}
        return found

    async def update_run(
        self, run_id: str, *, status: str = "", end_time_ms: int | None = None, run_name: str = ""
    ) -> RunInfo:
        """Set what is given; the same call twice does no harm."""
        body = {"run_id": run_id, "status": status, "end_time": end_time_ms, "run_name": run_name}
        return (await self._post(f"{API}/runs/update", _given(body), _Updated)).run_info

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
            "params": _pairs(params or {}, MAX_PARAM),
            "tags": _pairs(tags or {}, MAX_TAG),
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

    # Metrics

    async def history(
        self,
        run_ids: Sequence[str],
        key: str,
        *,
        start_step: int | None = None,
        end_step: int | None = None,
        max_points: int = 320,
    ) -> tuple[Metric, ...]:
        """A metric's course, sampled by the server to ``max_points`` for each run.

        Some versions ignore the bound, so it is kept here too. ``start_step`` and ``end_step`` go
        together.
        """
        points = max(1, min(max_points, MAX_POINTS))
        params = [("run_ids", each) for each in run_ids]
        params += [("metric_key", key), ("max_results", str(points))]
        if start_step is not None and end_step is not None:
            params += [("start_step", str(start_step)), ("end_step", str(end_step))]
        path = f"{AJAX}/metrics/get-history-bulk-interval"
        metrics = (await self._get(path, _Points, params)).metrics
        if len(metrics) <= 2 * points * max(1, len(run_ids)):
            return metrics
        by_run = ([m for m in metrics if m.run_id == run] for run in run_ids)
        return tuple(point for course in by_run for point in _thin(course, points))

    # The wire

    async def _get(self, path: str, type_: type[T], params: Sequence[tuple[str, str]] = ()) -> T:
        reply = await self._send("GET", path, None, params, None)
        return self._decode(reply, type_, "GET", path)

    async def _post(
        self, path: str, body: Mapping[str, Any], type_: type[T], deadline: float | None = None
    ) -> T:
        reply = await self._send("POST", path, body, (), deadline)
        return self._decode(reply, type_, "POST", path)

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        params: Sequence[tuple[str, str]],
        deadline: float | None,
    ) -> Reply:
        raw = None if body is None else msgspec.json.encode(body)
        limit = self._deadline if deadline is None else deadline
        return await self._caller.call(method, path, params=params, body=raw, deadline=limit)

    def _decode(self, reply: Reply, type_: type[T], method: str, path: str) -> T:
        where = f"{self.where} {method} {path}"
        kind = reply.headers.get("content-type", "application/json").split(";")[0].strip()
        try:
            if "json" not in kind or not reply.body[:1]:
                raise failures.not_json(dict(reply.headers), reply.body, where=where)
            return decode(type_, reply.body)
        except DecodeError as error:
            what, hint = f"the answer is not MLflow's: {error.what}", "what listens there?"
        except UnreachableError as error:
            what, hint = error.what, error.hint
        if method != "GET" and not path.endswith("/search"):
            raise UnknownOutcomeError(
                f"{what}; it may or may not have been done", where=where, hint=hint
            )
        raise UnreachableError(what, where=where, hint=hint)


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without empty fields: MLflow reads an empty page token as a token."""
    return {key: value for key, value in body.items() if value not in ("", None, [])}


def _pairs(values: Mapping[str, str], limit: int) -> list[dict[str, str]]:
    return [{"key": key, "value": value[:limit]} for key, value in values.items()]


def _thin(points: Sequence[Metric], most: int) -> Sequence[Metric]:
    """Evenly chosen points, the last one always among them."""
    if len(points) <= most:
        return points
    stride = -(-len(points) // most)
    kept = list(points[::stride])
    return kept if kept[-1] is points[-1] else [*kept, points[-1]]
