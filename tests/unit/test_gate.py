"""The read-only gate: what is not on its list does not pass, however it is written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.errors import ExitCode, RefusedError
from mcp_tui.sources.gate import READS, Gate, Source, is_canonical, is_listed_read
from mcp_tui.sources.kubernetes.resources import RESOURCES

PODS = "/api/v1/namespaces/ns/pods"
JOBS = "/apis/batch/v1/namespaces/ns/jobs"

PASS: list[tuple[Source, str, str]] = [
    ("kubernetes", "GET", "/version"),
    ("kubernetes", "GET", "/readyz"),
    ("kubernetes", "GET", "/api"),
    ("kubernetes", "GET", "/apis"),
    ("kubernetes", "GET", "/apis/batch/v1"),
    ("kubernetes", "GET", "/api/v1/namespaces"),
    ("kubernetes", "GET", "/api/v1/namespaces/proxy"),
    ("kubernetes", "GET", PODS),
    ("kubernetes", "GET", f"{PODS}/exec"),  # a pod of that name
    ("kubernetes", "GET", f"{PODS}/p/log"),
    ("kubernetes", "GET", f"{JOBS}/j/status"),
    ("kubernetes", "GET", "/api/v1/namespaces/exec/pods/proxy/log"),
    ("kubernetes", "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"),
    ("kubernetes", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ("kubernetes", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"),
    ("kubernetes", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews"),
    ("mlflow", "POST", "/api/2.0/mlflow/runs/search"),
    ("mlflow", "POST", "/api/2.0/mlflow/logged-models/search"),
    ("mlflow", "GET", "/api/2.0/mlflow/runs/get"),
    ("prometheus", "GET", "/api/v1/query_range"),
    ("prometheus", "GET", "/api/v1/label/job/values"),
]

REFUSED: list[tuple[Source, str, str]] = [
    ("kubernetes", "GET", f"{PODS}/p/exec"),
    ("kubernetes", "GET", f"{PODS}/p/attach"),
    ("kubernetes", "GET", f"{PODS}/p/portforward"),
    ("kubernetes", "GET", f"{PODS}/p/proxy"),
    ("kubernetes", "GET", f"{PODS}/p/proxy/x"),
    ("kubernetes", "GET", f"{PODS}/p/%65xec"),
    ("kubernetes", "GET", f"{PODS}/p%2Fexec"),
    ("kubernetes", "GET", f"{PODS}/p/EXEC"),
    ("kubernetes", "GET", f"{PODS}/p/log/../exec"),
    ("kubernetes", "GET", f"{PODS}/p//exec"),
    ("kubernetes", "GET", f"{PODS}/p/exec/"),
    ("kubernetes", "GET", f"{PODS}/p/log?/exec"),
    ("kubernetes", "GET", f"{PODS}/p\\exec"),
    ("kubernetes", "GET", "//api/v1/pods"),
    ("kubernetes", "GET", "/api/v1/proxy/nodes/n"),
    ("kubernetes", "GET", "/api/v1/watch/pods"),
    ("kubernetes", "GET", "/api/v1/nodes/n/proxy/run"),
    ("kubernetes", "GET", "/api/v1/namespaces/ns/services/s:80/proxy"),
    ("kubernetes", "GET", "/api/v1/namespaces/ns/services/s:80/proxy/metrics"),
    (
        "kubernetes",
        "GET",
        "/apis/subresources.kubevirt.io/v1/namespaces/n/vms/v/console",
    ),
    ("kubernetes", "GET", "/metrics"),
    ("kubernetes", "GET", "/logs/"),
    ("kubernetes", "POST", JOBS),
    ("kubernetes", "PUT", f"{JOBS}/j"),
    ("kubernetes", "PATCH", f"{JOBS}/j/status"),
    ("kubernetes", "DELETE", f"{JOBS}/j"),
    ("kubernetes", "POST", f"{PODS}/p/eviction"),
    ("kubernetes", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
    ("kubernetes", "get", PODS),
    ("kubernetes", "GET ", PODS),
    ("kubernetes", "POST", "/api/2.0/mlflow/runs/search"),
    ("mlflow", "POST", "/api/2.0/mlflow/runs/create"),
    ("mlflow", "POST", "/api/2.0/mlflow/runs/search/../create"),
    ("mlflow", "DELETE", "/api/2.0/mlflow/runs/search"),
    ("mlflow", "GET", "/api/v1/query"),
    ("prometheus", "POST", "/api/v1/admin/tsdb/delete_series"),
    ("prometheus", "POST", "/-/reload"),
    ("prometheus", "PUT", "/-/quit"),
]


@pytest.mark.parametrize(("source", "method", "path"), PASS)
def test_reads_pass(source: Source, method: str, path: str) -> None:
    Gate(read_only=True).check(source, method, path)


@pytest.mark.parametrize(("source", "method", "path"), REFUSED)
def test_nothing_else_passes(source: Source, method: str, path: str) -> None:
    gate = Gate(read_only=True)
    with pytest.raises(RefusedError) as caught:
        gate.check(source, method, path)
    assert caught.value.exit_code is ExitCode.REFUSED
    assert "read-only" in caught.value.line()
    Gate(read_only=False).check(source, method, path)


def test_every_kind_that_the_console_reads_passes() -> None:
    gate = Gate(read_only=True)
    for resource in RESOURCES:
        for namespace in (None, "ns"):
            gate.check("kubernetes", "GET", resource.path(namespace))
            gate.check("kubernetes", "GET", resource.path(namespace, "name"))
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            with pytest.raises(RefusedError):
                gate.check("kubernetes", method, resource.path("ns", "name"))


_SEGMENT = st.sampled_from(
    [
        *("api", "apis", "v1", "batch", "namespaces", "ns", "pods", "jobs", "services", "nodes"),
        *("exec", "attach", "portforward", "proxy", "EXEC", "Proxy", "%65xec", "exec%20", "log"),
        *("status", "scale", "", ".", "..", "%2e%2e", "a%2Fexec", "s:80", "x", "watch", "metrics"),
    ]
) | st.text(max_size=6)
_CONNECTS = {"exec", "attach", "portforward", "proxy"}


@given(st.lists(_SEGMENT, max_size=9), st.sampled_from(["GET", "POST", "HEAD", "CONNECT"]))
def test_no_path_that_connects_passes(segments: list[str], method: str) -> None:
    path = "/" + "/".join(segments)
    if not is_listed_read("kubernetes", method, path):
        return
    parts = path.strip("/").split("/")
    # In /api/v1/... a resource's name is at 2 or 4, and what follows an object's name connects.
    start = 2 if parts[0] == "api" else 3
    rest = parts[start:]
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status",):
        rest = rest[2:]
    assert not _CONNECTS & {part.lower() for part in rest[:1] + rest[2:]}, path


@given(st.text(max_size=40).map(lambda text: "/api/v1/pods/" + text))
def test_a_path_that_is_not_canonical_never_passes(path: str) -> None:
    if re.search(r"[%\\;?#\s]|//|/\.{1,2}(/|$)|[^\x21-\x7e]", path):
        assert not is_canonical(path)
        assert not is_listed_read("kubernetes", "GET", path)


def test_the_list_holds_no_method_that_could_write() -> None:
    assert {method for _, method, _ in READS} == {"GET", "POST"}
    posts = [path for source, method, path in READS if (source, method) == ("kubernetes", "POST")]
    assert all("selfsubject" in path for path in posts)
    for source, _, path in READS:
        if source == "kubernetes":
            assert not re.search(
                r"(?<!\()(?<!\|)\b(exec|attach|portforward|proxy)\b(?!\||\))", path
            )


def test_a_service_proxy_passes_for_what_is_configured_only() -> None:
    gate = Gate(read_only=True)
    prefix = gate.allow_service("mlflow", "ml", "mlflow", "5000")
    assert prefix == "/api/v1/namespaces/ml/services/mlflow:5000/proxy"
    gate.check("kubernetes", "POST", f"{prefix}/api/2.0/mlflow/runs/search")
    gate.check("kubernetes", "GET", f"{prefix}/version")
    for method, path in (
        ("POST", f"{prefix}/api/2.0/mlflow/runs/create"),
        ("GET", f"{prefix}/api/v1/query"),
        ("GET", f"{prefix}/../proxy/version"),
        ("GET", prefix.replace("5000", "5001") + "/version"),
        ("GET", prefix.replace("/ml/", "/other/") + "/version"),
        ("GET", prefix.replace("mlflow:", "https:mlflow:") + "/version"),
    ):
        with pytest.raises(RefusedError):
            gate.check("kubernetes", method, path)


@pytest.mark.parametrize(
    ("namespace", "service", "port"),
    [
        ("a/b", "s", "1"),
        ("a", "s/proxy", ""),
        ("a", "..", "80"),
        ("", "s", "80"),
        ("a", "s", "%31"),
    ],
)
def test_a_service_must_be_one(namespace: str, service: str, port: str) -> None:
    with pytest.raises(RefusedError):
        Gate(read_only=False).allow_service("mlflow", namespace, service, port)


def test_a_dry_run_sends_what_the_server_does_not_store() -> None:
    gate = Gate(read_only=False, dry_run=True)
    gate.check("kubernetes", "GET", PODS)
    gate.check("kubernetes", "POST", JOBS, {"dryRun": "All"})
    gate.check("kubernetes", "DELETE", f"{JOBS}/j", [("dryRun", "All")])
    for method, path, params in (
        ("POST", JOBS, []),
        ("POST", JOBS, [("dryRun", "None")]),
        ("POST", JOBS, [("dryRun", "All"), ("dryRun", "None")]),
        ("POST", f"{PODS}/p/exec", [("dryRun", "All")]),
        ("GET", f"{PODS}/p/exec", [("dryRun", "All")]),
    ):
        with pytest.raises(RefusedError, match="dry run"):
            gate.check("kubernetes", method, path, params)
    with pytest.raises(RefusedError):
        gate.check("mlflow", "POST", "/api/2.0/mlflow/runs/create", {"dryRun": "All"})


def test_read_only_sends_no_dry_run_either() -> None:
    gate = Gate(read_only=True, dry_run=True)
    with pytest.raises(RefusedError, match="read-only"):
        gate.check("kubernetes", "POST", JOBS, {"dryRun": "All"})


def test_what_passed_is_recorded_and_nothing_else() -> None:
    passed: list[tuple[str, str, str]] = []
    gate = Gate(read_only=True, recorder=lambda *call: passed.append(call))
    gate.check("kubernetes", "GET", PODS)
    with pytest.raises(RefusedError):
        gate.check("kubernetes", "DELETE", PODS)
    assert passed == [("kubernetes", "GET", PODS)]


def test_an_error_shows_no_control_characters() -> None:
    with pytest.raises(RefusedError) as caught:
        Gate(read_only=True).check("kubernetes", "GET", "/api/\x1b]0;x\x07v1/\u202epods")
    assert caught.value.line().isprintable()
