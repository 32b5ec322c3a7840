"""The one gate that every outbound HTTP call passes, and the one allow-list of read-only mode.

Some GETs can change anything (``pods/exec``, ``attach``, ``portforward``, ``proxy``) and some
POSTs only read (access reviews, MLflow's searches), so the method alone decides nothing. A call
that is not on :data:`READS` does not leave the machine while the gate is read-only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import RefusedError

Source: TypeAlias = Literal["kubernetes", "mlflow", "prometheus"]
Params: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

# A path is refused, not repaired, when it holds anything else: no percent signs (so nothing is
# hidden behind an encoding), no backslash, no semicolon, no empty, "." or ".." segment.
_CANONICAL: Final = re.compile(
    r"/(?:[A-Za-z0-9._~:@!$&'()*+,=-]+(?:/[A-Za-z0-9._~:@!$&'()*+,=-]+)*/?)?"
)
_DOTS: Final = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")

_NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]*"
_GROUP_VERSION = r"(?:/api/v1|/apis/[a-z0-9.-]+/v[a-z0-9]+)"
# A resource's name at a place where a sub-resource or one of the old verbs could stand.
_RESOURCE = r"(?!(?:exec|attach|portforward|proxy|watch|namespaces)/?(?:$|/))[a-z][a-z0-9-]*"
_READ_SUB = r"(?:status|scale|log)"

READS: Final[tuple[tuple[Source, str, str], ...]] = (
    # Kubernetes: discovery, health, objects and lists (watches too), and three sub-resources.
    ("kubernetes", "GET", r"/version/?"),
    ("kubernetes", "GET", r"/(?:healthz|livez|readyz)"),
    ("kubernetes", "GET", r"/openapi/v[23](?:/[a-z0-9./-]+)?"),
    ("kubernetes", "GET", r"/apis?/?"),
    ("kubernetes", "GET", r"/apis/[a-z0-9.-]+"),
    ("kubernetes", "GET", _GROUP_VERSION),
    ("kubernetes", "GET", rf"{_GROUP_VERSION}/namespaces(?:/{_NAME}(?:/status)?)?"),
    ("kubernetes", "GET", rf"{_GROUP_VERSION}/{_RESOURCE}(?:/{_NAME}(?:/{_READ_SUB})?)?"),
    (
        "kubernetes",
        "GET",
        rf"{_GROUP_VERSION}/namespaces/{_NAME}/{_RESOURCE}(?:/{_NAME}(?:/{_READ_SUB})?)?",
    ),
    # Kubernetes: questions about oneself, which are POSTs that store nothing.
    ("kubernetes", "POST", r"/apis/authorization\.k8s\.io/v1/selfsubjectaccessreviews"),
    ("kubernetes", "POST", r"/apis/authorization\.k8s\.io/v1/selfsubjectrulesreviews"),
    ("kubernetes", "POST", r"/apis/authentication\.k8s\.io/v1(?:beta1|alpha1)?/selfsubjectreviews"),
    # MLflow, relative to the endpoint's base.
    ("mlflow", "GET", r"/(?:version|health)"),
    ("mlflow", "GET", r"/api/2\.0/mlflow/experiments/(?:get|get-by-name|list|search)"),
    ("mlflow", "GET", r"/api/2\.0/mlflow/runs/get"),
    (
        "mlflow",
        "GET",
        r"/(?:api|ajax-api)/2\.0/mlflow/metrics/get-history(?:-bulk|-bulk-interval)?",
    ),
    ("mlflow", "GET", r"/api/2\.0/mlflow/artifacts/list"),
    ("mlflow", "GET", r"/api/2\.0/mlflow/users/current"),
    # The contents of artifacts: by run and path, by model and path, and by where they are kept.
    ("mlflow", "GET", r"/get-artifact"),
    ("mlflow", "GET", r"/api/2\.0/mlflow-artifacts/artifacts(?:/.+)?"),
    ("mlflow", "GET", r"/api/2\.0/mlflow/logged-models/m-[0-9a-f]+/artifacts/directories"),
    ("mlflow", "GET", r"/ajax-api/2\.0/mlflow/logged-models/m-[0-9a-f]+/artifacts/files"),
    (
        "mlflow",
        "GET",
        r"/api/2\.0/mlflow/registered-models/(?:get|list|search|alias|get-latest-versions)",
    ),
    ("mlflow", "GET", r"/api/2\.0/mlflow/model-versions/(?:get|search|get-download-uri)"),
    ("mlflow", "GET", r"/api/2\.0/mlflow/logged-models/m-[0-9a-f]+"),
    ("mlflow", "POST", r"/api/2\.0/mlflow/experiments/search"),
    ("mlflow", "POST", r"/api/2\.0/mlflow/runs/search"),
    ("mlflow", "POST", r"/api/2\.0/mlflow/logged-models/search"),
    ("mlflow", "POST", r"/api/2\.0/mlflow/registered-models/get-latest-versions"),
    # Prometheus, relative to the endpoint's base. Its query calls are forms when they are long.
    ("prometheus", "GET", r"/-/(?:ready|healthy)"),
    ("prometheus", "GET", r"/api/v1/(?:query|query_range|query_exemplars|series|labels)"),
    ("prometheus", "POST", r"/api/v1/(?:query|query_range|query_exemplars|series|labels)"),
    ("prometheus", "GET", r"/api/v1/label/[A-Za-z_][A-Za-z0-9_]*/values"),
    ("prometheus", "GET", r"/api/v1/(?:alerts|rules|targets|targets/metadata|metadata)"),
    ("prometheus", "GET", r"/api/v1/status/(?:config|flags|runtimeinfo|buildinfo|tsdb)"),
)

_COMPILED: Final = tuple((source, method, re.compile(path)) for source, method, path in READS)
_SERVICE_PROXY: Final = re.compile(
    r"(/api/v1/namespaces/[a-z0-9-]+/services/(?:https?:)?[a-z0-9-]+(?::[a-z0-9-]+)?/proxy)(/.*)?"
)


def is_canonical(path: str) -> bool:
    """Whether a path means the same to everybody who reads it on the way to the server."""
    return _CANONICAL.fullmatch(path) is not None and _DOTS.search(path) is None


def is_listed_read(source: Source, method: str, path: str) -> bool:
    """Whether a call is on the allow-list; a path that is not canonical never is."""
    if not is_canonical(path):
        return False
    return any(
        source == listed and method == verb and pattern.fullmatch(path)
        for listed, verb, pattern in _COMPILED
    )


class Gate:
    """Decides whether a call may leave the machine.

    Args:
        read_only: Only calls on :data:`READS` pass.
        dry_run: Besides them only Kubernetes writes that carry ``dryRun=All`` pass, which the
            server checks and does not store. Read-only is stronger: with both, no write passes,
            not even a dry one.
        recorder: Called with (source, method, path) for each call that passes; for tests.
    """

    def __init__(
        self,
        read_only: bool,
        *,
        dry_run: bool = False,
        recorder: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self.read_only = read_only
        self.dry_run = dry_run
        self._recorder = recorder
        self._services: dict[str, Source] = {}

    def allow_service(
        self, source: Source, namespace: str, service: str, port: str = "", *, scheme: str = ""
    ) -> str:
        """Let calls to a configured endpoint pass through the API server's service proxy.

        What stands behind the prefix is checked against the list of ``source``.

        Returns:
            The path prefix that such calls start with, without a slash at its end.

        Raises:
            RefusedError: The parts do not make a service proxy's path.
        """
        target = (
            f"{scheme}:{service}:{port}" if scheme else f"{service}:{port}" if port else service
        )
        prefix = f"/api/v1/namespaces/{namespace}/services/{target}/proxy"
        match = _SERVICE_PROXY.fullmatch(prefix)
        if match is None or match[2] is not None:
            raise RefusedError(
                f"not a service: {clean_line(namespace)}/{clean_line(target)}",
                hint="write it as namespace/name:port",
            )
        self._services[prefix] = source
        return prefix

    def reads(self, source: Source, method: str, path: str) -> bool:
        """Whether a call only reads, by the allow-list and the configured service proxies."""
        if is_listed_read(source, method, path):
            return True
        if source == "kubernetes" and is_canonical(path):
            match = _SERVICE_PROXY.fullmatch(path)
            if match is not None and match[1] in self._services:
                return is_listed_read(self._services[match[1]], method, match[2] or "/")
        return False

    def check(self, source: Source, method: str, path: str, params: Params = ()) -> None:
        """Let a call pass, or refuse it.

        Args:
            source: Whose call it is.
            method: The HTTP method, upper case.
            path: The path on the server, without the query; for MLflow and Prometheus relative to
                the endpoint's base.
            params: The query; it matters for a dry run only.

        Raises:
            RefusedError: The gate is read-only (or dry) and the call is not on the list.
        """
        if (self.read_only or self.dry_run) and not self.reads(source, method, path):
            dry = not self.read_only and source == "kubernetes" and _is_dry(method, path, params)
            if not dry:
                raise RefusedError(
                    f"{'read-only' if self.read_only else 'dry run'}: "
                    f"{clean_line(method)} {clean_line(path, limit=200)} is not sent",
                    where=source,
                    hint="start without --read-only, or remove read_only from the configuration"
                    if self.read_only
                    else "",
                )
        if self._recorder is not None:
            self._recorder(source, method, path)


def _is_dry(method: str, path: str, params: Params) -> bool:
    """Whether a Kubernetes write asks the server not to store it.

    Sub-resources that connect ignore ``dryRun``, so they are never dry.
    """
    if method not in ("POST", "PUT", "PATCH", "DELETE") or not is_canonical(path):
        return False
    if {"exec", "attach", "portforward", "proxy"} & set(path.lower().split("/")):
        return False
    pairs = params.items() if isinstance(params, Mapping) else params
    return [value for key, value in pairs if key == "dryRun"] == ["All"]


def split_query(target: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a request target into its path and its query's pairs."""
    path, _, query = target.partition("?")
    return path, parse_qsl(query, keep_blank_values=True)
