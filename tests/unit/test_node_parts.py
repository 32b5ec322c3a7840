"""The pure parts of the process node: paths, references, images, back-off, statuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.demo.kubelet.backoff import BackOff
from mcp_tui.demo.kubelet.expansion import expand
from mcp_tui.demo.kubelet.images import ImageError, check_image, pull_policy
from mcp_tui.demo.kubelet.mapping import PathMap
from mcp_tui.demo.kubelet.quantity import limit_bytes, parse_quantity
from mcp_tui.demo.kubelet.status import (
    PodView,
    Record,
    Verdict,
    conditions_of,
    phase_of,
    pod_status,
    qos_class,
    record_from_status,
)
from mcp_tui.demo.kubelet.volumes import VolumeError, inside
from mcp_tui.demo.kubelet.websocket import unmask


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/workspace", "/real/ws"),
        ("cd /workspace && python train.py", "cd /real/ws && python train.py"),
        ("cp '/workspace/a' \"/data/b\"", "cp '/real/ws/a' \"/real/data/b\""),
        ("X=/workspace:/data/lib", "X=/real/ws:/real/data/lib"),
        ("file:///data/x", "file:///real/data/x"),
        ("sqlite:////data/m.db", "sqlite:////real/data/m.db"),
        ("/data/models/v1", "/real/models/v1"),
        ("/workspace2 /data-old /data.bak", "/workspace2 /data-old /data.bak"),
        ("https://host/data https://host:80/data/x", "https://host/data https://host:80/data/x"),
        ("/srv/data ./data ~/data ../data", "/srv/data ./data ~/data ../data"),
        ("ls /data; ls /data.", "ls /real/data; ls /real/data."),
    ],
)
def test_mount_paths_are_replaced_at_boundaries_only(text: str, wanted: str) -> None:
    paths = PathMap(
        {"/workspace/": "/real/ws", "/data": "/real/data", "/data/models": "/real/models"}
    )
    assert paths.replace(text) == wanted


def test_replaced_paths_are_not_replaced_again() -> None:
    paths = PathMap({"/data": "/srv/data/data", "/srv": "/other"})
    assert paths.replace("/data/x") == "/srv/data/data/x"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$(A) and $(B)", "1 and $(B)"),
        ("$$(A) $$$(A) $A ${A}", "$(A) $1 $A ${A}"),
        ("$(A", "$(A"),
        ("$($(A))", "$($(A))"),
        ("", ""),
    ],
)
def test_references_expand_as_documented(text: str, wanted: str) -> None:
    assert expand(text, {"A": "1", "C": "$(A)"}) == wanted


def test_values_are_not_expanded_twice() -> None:
    assert expand("$(C)", {"A": "1", "C": "$(A)"}) == "$(A)"


@pytest.mark.parametrize(
    "image",
    ["python:3.12", "ghcr.io/a/b/c@sha256:" + "0" * 64, "localhost:5000/x", "a_b/c-d.e:v1_x"],
)
def test_ordinary_images_pass(image: str) -> None:
    check_image(image)


@pytest.mark.parametrize(
    ("image", "reason", "part"),
    [
        ("registry.invalid/x", "ErrImagePull", "v2/x/manifests/latest"),
        ("r.invalid:5000/team/x:1", "ErrImagePull", "lookup r.invalid: no such host"),
        ("Python:3", "InvalidImageName", "invalid reference format"),
        ("", "InvalidImageName", ""),
        ("a b", "InvalidImageName", ""),
    ],
)
def test_impossible_images_fail(image: str, reason: str, part: str) -> None:
    with pytest.raises(ImageError) as caught:
        check_image(image)
    assert caught.value.reason == reason
    assert part in str(caught.value)


def test_pull_policy_defaults_by_tag() -> None:
    assert pull_policy({"image": "a"}) == "Always"
    assert pull_policy({"image": "host:5000/a"}) == "Always"
    assert pull_policy({"image": "a:latest"}) == "Always"
    assert pull_policy({"image": "a:1"}) == "IfNotPresent"
    assert pull_policy({"image": "a", "imagePullPolicy": "Never"}) == "Never"


def test_back_off_starts_at_once_doubles_and_is_capped() -> None:
    back = BackOff()
    assert [back.step() for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    back.ran(599)
    assert back.step() == 300
    back.ran(601)
    assert back.step() == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [("64Mi", 64 * 2**20), ("1.5Gi", 1.5 * 2**30), ("500m", 0.5), ("1e3", 1000), ("2k", 2000)],
)
def test_quantities(text: str, value: float) -> None:
    assert float(parse_quantity(text)) == value


@pytest.mark.parametrize("text", ["", "x", "1Zi", "Gi", "1 Gi"])
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


def test_limits_are_read_where_they_are() -> None:
    assert limit_bytes({"limits": {"memory": "1Ki"}}, "memory") == 1024
    assert limit_bytes({"requests": {"memory": "1Ki"}}, "memory") is None
    assert limit_bytes(None, "memory") is None


def test_paths_do_not_lead_out_of_a_volume(tmp_path: Any) -> None:
    assert inside(tmp_path, "/a/b") == tmp_path / "a" / "b"
    with pytest.raises(VolumeError):
        inside(tmp_path, "a/../../b")


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_unmasking_is_the_xor_of_the_key(data: bytes, key: bytes) -> None:
    wanted = bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
    assert unmask(data, key) == wanted


# --- statuses


def _pod(policy: str = "Never", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]},
        "status": status,
    }


def _view(*main: Record, init: tuple[Record, ...] = (), policy: str = "Never") -> PodView:
    return PodView(_pod(policy), init, main, "127.0.0.1", 1.0, sandbox=True)


def _ended(code: int, name: str = "c", *, init: bool = False) -> Record:
    record = Record(name, "i", init=init)
    record.run("id", 10.0)
    record.end(code, "Error" if code else "Completed", 20.0)
    return record


def _running(name: str = "c") -> Record:
    record = Record(name, "i")
    record.run("id", 10.0)
    return record


def _waiting(reason: str, *, crashed: bool = False) -> Record:
    record = _ended(1) if crashed else Record("c", "i")
    record.wait(reason)
    return record


@pytest.mark.parametrize(
    ("view", "phase"),
    [
        (_view(_waiting("ContainerCreating")), "Pending"),
        (_view(_running()), "Running"),
        (_view(_running(), _ended(1)), "Running"),
        (_view(_ended(0), _ended(0)), "Succeeded"),
        (_view(_ended(0), _ended(1)), "Failed"),
        (_view(_ended(1), policy="OnFailure"), "Running"),
        (_view(_ended(0), policy="OnFailure"), "Succeeded"),
        (_view(_ended(0), policy="Always"), "Running"),
        (_view(_waiting("CrashLoopBackOff", crashed=True), policy="Always"), "Running"),
        (_view(_waiting("PodInitializing"), init=(_ended(1, init=True),)), "Failed"),
        (
            _view(_waiting("PodInitializing"), init=(_ended(1, init=True),), policy="Always"),
            "Pending",
        ),
        (_view(_waiting("PodInitializing"), init=(_ended(0, init=True),)), "Pending"),
    ],
)
def test_phase(view: PodView, phase: str) -> None:
    assert phase_of(view) == phase


def test_a_pod_that_was_ended_is_over_whatever_its_policy() -> None:
    view = _view(_ended(143), policy="Always")
    view.ended = True
    assert phase_of(view) == "Failed"
    view = _view(_ended(0), policy="Always")
    view.ended = True
    assert phase_of(view) == "Succeeded"


def test_a_restart_keeps_how_the_container_last_ended() -> None:
    record = _ended(3)
    record.wait("CrashLoopBackOff", "back-off")
    assert record.last is not None and record.last["exitCode"] == 3
    record.run("id2", 30.0)
    status = record.to_status(pod_over=False)
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["state"]["running"]["startedAt"] == "1970-01-01T00:00:30Z"
    assert status["started"] is True


def _conditions(view: PodView, now: float = 100.0) -> dict[str, dict[str, Any]]:
    return {c["type"]: c for c in conditions_of(view, phase_of(view), now)}


def test_conditions_of_a_pod_that_initialises() -> None:
    init = Record("i", "i", init=True)
    init.run("id", 1.0)
    found = _conditions(_view(_waiting("PodInitializing"), init=(init,)))
    assert found["Initialized"]["status"] == "False"
    assert found["Initialized"]["message"] == "containers with incomplete status: [i]"
    assert found["Ready"]["message"] == "containers with unready status: [c]"
    assert found["PodScheduled"]["status"] == "True"


def test_conditions_of_others_are_kept_and_times_change_only_with_the_status() -> None:
    view = _view(_running())
    gate = {"type": "example.com/gate", "status": "True", "lastTransitionTime": "x"}
    view.pod = _pod(conditions=[gate])
    first = _conditions(view, 100.0)
    assert first["example.com/gate"] == gate
    assert first["Ready"]["status"] == "True"
    later = _conditions(view, 200.0)
    assert later["Ready"] == first["Ready"]
    view.main[0].probed_ready = False
    assert _conditions(view, 300.0)["Ready"]["lastTransitionTime"] == "1970-01-01T00:05:00Z"


def test_a_readiness_gate_holds_ready_back() -> None:
    view = _view(_running())
    view.pod["spec"]["readinessGates"] = [{"conditionType": "example.com/gate"}]
    found = _conditions(view)
    assert found["ContainersReady"]["status"] == "True"
    assert found["Ready"]["reason"] == "ReadinessGatesNotReady"


def test_the_first_disruption_is_kept() -> None:
    view = _view(_ended(137))
    view.verdict = Verdict("Terminated", "shutdown", disruption=True)
    other = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    assert _conditions(view)["DisruptionTarget"]["reason"] == "TerminationByKubelet"
    view.pod = _pod(conditions=[other])
    assert _conditions(view)["DisruptionTarget"]["reason"] == "PreemptionByScheduler"


def test_a_verdict_is_the_pods_reason() -> None:
    view = _view(_ended(143))
    view.verdict = Verdict("Evicted", "too much")
    status = pod_status(view, 100.0)
    assert (status["phase"], status["reason"], status["message"]) == (
        "Failed",
        "Evicted",
        "too much",
    )


def test_a_container_that_ran_before_the_node_restarted_is_unaccounted_for() -> None:
    record = record_from_status(
        {
            "name": "c",
            "restartCount": 2,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            "lastState": {"terminated": {"exitCode": 1}},
        },
        init=False,
        now=0.0,
    )
    assert record.terminated is not None
    assert record.terminated["reason"] == "ContainerStatusUnknown"
    assert record.terminated["exitCode"] == 137
    assert record.terminated["startedAt"] == "2026-01-01T00:00:00Z"
    assert record.restarts == 2
    assert record.last == {"exitCode": 1}


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], wanted: str) -> None:
    assert qos_class({"containers": [{"resources": resources}]}) == wanted
