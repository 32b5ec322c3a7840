"""Prometheus' HTTP API over httpx: queries with their warnings, and the server's own words.

The prometheus-api-client package has no default timeout, repeats 503 (the server's word for a
query that took too long) and loses its message, and drops ``warnings``, so that a partial answer
looks whole; hence this small client. A series older than the look-back of 5 minutes is a success
with nothing in it: that is "no data", never 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from mcp_tui.domain.decode import DecodeError, decode
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UnreachableError, UsageError
from mcp_tui.sources.caller import Caller
from mcp_tui.sources.kubernetes import failures
from mcp_tui.sources.reply import Reply

T = TypeVar("T")

MAX_POINTS: Final = 11_000
"""The server's own bound on (end - start) / step."""


class _Pair(msgspec.Struct, frozen=True, array_like=True):
    """A sample on the wire: ``[epoch seconds, "value"]``."""

    at: float = 0.0
    value: str = ""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One series at one moment. ``value`` may be NaN or infinite; ``at`` is epoch seconds."""

    labels: dict[str, str]
    at: float
    value: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One series over a range: (epoch seconds, value), oldest first."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An instant query's result; empty ``samples`` mean that there is no data.

    Attributes:
        samples: One for each series; a scalar comes as one without labels.
        warnings: What the server adds; a partial answer has one.
    """

    samples: tuple[Sample, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def single(self) -> float | None:
        """The value, if there is exactly one; None for no data or several series."""
        return self.samples[0].value if len(self.samples) == 1 else None


class RangeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A range query's result."""

    series: tuple[Series, ...] = ()
    warnings: tuple[str, ...] = ()


class BuildInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Version of the server; empty in one that somebody built by hand."""

    version: str = ""
    revision: str = ""
    go_version: str = msgspec.field(default="", name="goVersion")


class _WireSeries(msgspec.Struct, frozen=True, kw_only=True):
    metric: dict[str, str] = msgspec.field(default_factory=dict)
    value: _Pair | None = None
    values: tuple[_Pair, ...] = ()


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    result_type: str = msgspec.field(default="", name="resultType")
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    status: str = ""
    data: _Data = _Data()
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


class _Info(msgspec.Struct, frozen=True, kw_only=True):
    status: str = ""
    data: BuildInfo = BuildInfo()


def _warnings(result: _Result, reply: Reply) -> tuple[str, ...]:
    return tuple(failures.said_line(each, reply.hide) for each in result.warnings)


class PrometheusClient:
    """One Prometheus server, read only.

    Args:
        caller: How it is reached (:func:`mcp_tui.sources.endpoint.connect`).
        deadline: Seconds around each call.

    Every method raises what :meth:`Caller.call` raises; ApiError carries the server's own words
    and its errorType (``bad_data``, ``execution``, ``timeout``) as the reason.
    """

    def __init__(self, caller: Caller, *, deadline: float = 10.0) -> None:
        self._caller = caller
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"PrometheusClient({self.where!r})"

    @property
    def where(self) -> str:
        """The endpoint, as messages call it."""
        return self._caller.where

    async def aclose(self) -> None:
        """Close its connections."""
        await self._caller.aclose()

    async def ready(self) -> bool:
        """Whether the server says that it is ready; False while it starts (503)."""
        try:
            await self._caller.call("GET", "/-/ready", deadline=self._deadline)
        except ApiError as error:
            if error.status == 503:
                return False
            raise
        return True

    async def build_info(self) -> BuildInfo:
        """The server's version."""
        return self._decode(await self._get("/api/v1/status/buildinfo", ()), _Info).data

    async def query(self, expression: str, *, at: float | None = None) -> Answer:
        """An instant query.

        Args:
            expression: PromQL with a vector or scalar result.
            at: Epoch seconds; the server's now by default.
        """
        params = [("query", expression), ("timeout", f"{self._deadline:g}s")]
        if at is not None:
            params.append(("time", f"{at:.3f}"))
        reply = await self._get("/api/v1/query", params)
        result = self._decode(reply, _Result)
        warnings = _warnings(result, reply)
        if result.data.result_type == "vector":
            series = self._part(result, tuple[_WireSeries, ...])
            samples = tuple(
                Sample(labels=s.metric, at=s.value.at, value=number(s.value.value))
                for s in series
                if s.value is not None
            )
            return Answer(samples=samples, warnings=warnings)
        if result.data.result_type == "scalar":
            pair = self._part(result, _Pair)
            sample = Sample(labels={}, at=pair.at, value=number(pair.value))
            return Answer(samples=(sample,), warnings=warnings)
        raise UsageError(
            f"the expression gives a {clean_line(result.data.result_type, limit=40)}",
            where=self.where,
            hint="ask for a vector or scalar",
        )

    async def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> RangeAnswer:
        """A range query.

        Args:
            expression: PromQL.
            start: Epoch seconds.
            end: Epoch seconds.
            step: Seconds; made larger where there would be over 11,000 points.
        """
        step = max(step, (end - start) / MAX_POINTS, 0.001)
        params = [
            ("query", expression),
            ("start", f"{start:.3f}"),
            ("end", f"{end:.3f}"),
            ("step", f"{math.ceil(step * 1000) / 1000:.3f}"),
            ("timeout", f"{self._deadline:g}s"),
        ]
        reply = await self._get("/api/v1/query_range", params)
        result = self._decode(reply, _Result)
        series = tuple(
            Series(labels=s.metric, points=tuple((p.at, number(p.value)) for p in s.values))
            for s in self._part(result, tuple[_WireSeries, ...])
        )
        return RangeAnswer(series=series, warnings=_warnings(result, reply))

    async def _get(self, path: str, params: Sequence[tuple[str, str]]) -> Reply:
        return await self._caller.call("GET", path, params=params, deadline=self._deadline)

    def _decode(self, reply: Reply, type_: type[T]) -> T:
        kind = reply.headers.get("content-type", "application/json").split(";")[0].strip()
        if "json" not in kind or not reply.body[:1]:
            raise failures.not_json(reply, where=self.where)
        try:
            return decode(type_, reply.body)
        except DecodeError as error:
            raise UnreachableError(
                f"the answer is not Prometheus': {error.what}", where=self.where
            ) from None

    def _part(self, result: _Result, type_: type[T]) -> T:
        try:
            return decode(type_, result.data.result)
        except DecodeError as error:
            raise UnreachableError(
                f"the answer is not Prometheus': {error.what}", where=self.where
            ) from None


def number(text: str) -> float:
    """A sample's value: Prometheus writes ``NaN``, ``+Inf`` and ``-Inf`` too."""
    try:
        return float(text)
    except ValueError:
        return math.nan
