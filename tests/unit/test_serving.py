"""What objects of a cluster say of models, and what a store makes of it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.decode import decode
from mcp_tui.domain.kube_serving import AnyServer, Deployment, InferenceService, Rollout
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.references import (
    LATEST,
    How,
    Reference,
    addresses,
    image,
    is_place,
    location_of,
    model_id_in,
    run_in,
)
from mcp_tui.domain.serving import Serving, ServingState, serving_of
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store.serving import Served, ServingStore, aliases_of
from mcp_tui.store.servingfeed import ServingFeed

RUN = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
LOGGED = f"m-{RUN}"


def server(
    kind: type[AnyServer] = Deployment,
    name: str = "web",
    *,
    uid: str = "",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    args: tuple[str, ...] = (),
    picture: str = "",
    status: dict[str, Any] | None = None,
    **more: Any,
) -> Any:
    """A Deployment or Rollout as a server sends it."""
    container = {
        "name": "c",
        "image": picture,
        "args": list(args),
        "env": [{"name": k, "value": v} for k, v in (env or {}).items()],
    }
    spec = {"replicas": 1, "template": {"spec": {"containers": [container]}}}
    metadata = {
        "name": name,
        "namespace": "ml",
        "uid": uid or f"uid-{name}",
        "labels": labels or {},
        "annotations": annotations or {},
    }
    whole = {
        "metadata": metadata | more.pop("metadata", {}),
        "spec": spec | more.pop("spec", {}),
        "status": status or {},
    }
    return decode(kind, json.dumps(whole).encode())


def inference(predictor: dict[str, Any], name: str = "isvc", **status: Any) -> InferenceService:
    whole = {
        "metadata": {"name": name, "namespace": "ml", "uid": f"uid-{name}"},
        "spec": {"predictor": predictor},
        "status": status,
    }
    return decode(InferenceService, json.dumps(whole).encode())


def said(text: str, *, location: bool = False, how: How = How.ARGUMENT) -> list[Reference]:
    return list(addresses((how, "", text), location=location))


def facts(ref: Reference) -> dict[str, str]:
    names = ("model", "version", "alias", "run_id", "path", "model_id", "location")
    return {name: getattr(ref, name) for name in names if getattr(ref, name)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/ranker/7", {"model": "ranker", "version": "7"}),
        ("models:/ranker/007", {"model": "ranker", "version": "7"}),
        ("models:/ranker/7/data", {"model": "ranker", "version": "7"}),
        ("models:/it's a ranker/3", {"model": "it's a ranker", "version": "3"}),
        ("models:/ranker@champion", {"model": "ranker", "alias": "champion"}),
        ("models:/a@b@champion", {"model": "a@b", "alias": "champion"}),
        ("models:/ranker/latest", {"model": "ranker", "alias": LATEST}),
        ("models:/ranker/Production", {"model": "ranker"}),
        (f"models:/{LOGGED}", {"model_id": LOGGED}),
        ("--model-uri=models:/it's a ranker@live", {"model": "it's a ranker", "alias": "live"}),
        ("mlflow models serve -m models:/ranker/7 -p 80", {"model": "ranker", "version": "7"}),
        ('exec serve "models:/ranker/7"; echo done', {"model": "ranker", "version": "7"}),
        (f"runs:/{RUN}/model", {"run_id": RUN, "path": "model"}),
        (f"runs:/{RUN}", {"run_id": RUN}),
        (f"mlflow-artifacts:/0/{RUN}/artifacts/a/b", {"run_id": RUN, "path": "a/b"}),
        (f"s3://bucket/mlruns/0/{RUN}/artifacts/model/", {"run_id": RUN, "path": "model"}),
        (f"s3://bucket/1/models/{LOGGED}/artifacts", {"model_id": LOGGED}),
        (f"/mnt/mlruns/0/{RUN}/artifacts/model", {"run_id": RUN, "path": "model"}),
        (f"--dir=/mnt/mlruns/0/{RUN}/artifacts/model", {"run_id": RUN, "path": "model"}),
    ],
)
def test_addresses_that_name_a_model_are_understood(text: str, expected: dict[str, str]) -> None:
    [found] = said(text)
    assert facts(found) == expected
    assert not found.guess


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models:/",
        "models:/ranker",
        "models:/ranker/0",
        "runs:/short/model",
        f"/var/lib/{RUN}/data",
        f"/var/lib/{RUN}/data/artifacts/model",
        f"sha256:{RUN}{RUN}",
        f"s3://bucket/{RUN.upper()}/x",
        "postgres://user:secret@db/models",
        "http://web/models/ranker/7",
    ],
)
def test_what_names_none_is_passed_over(text: str) -> None:
    assert [each for each in said(text) if each.names_one] == []


def test_several_addresses_of_a_text_are_all_found() -> None:
    found = said(f"models:/a/1,models:/b@live and runs:/{RUN}/x")
    assert [facts(each) for each in found] == [
        {"model": "a", "version": "1"},
        {"model": "b", "alias": "live"},
        {"run_id": RUN, "path": "x"},
    ]


def test_an_address_loses_what_may_be_secret() -> None:
    [found] = said(f"s3://key:secret@bucket/0/{RUN}/artifacts/m?X-Sig=secret#s", location=True)
    assert found.text == found.location == f"s3://bucket/0/{RUN}/artifacts/m"
    assert location_of("https://u:secret@h/a/?sig=secret") == "https://h/a"


def test_a_place_is_taken_only_from_what_is_there_to_say_it() -> None:
    assert said("s3://bucket/ranker") == []
    [found] = said("s3://bucket/ranker/", location=True)
    assert facts(found) == {"location": "s3://bucket/ranker"}
    assert said("see s3://bucket/ranker now", location=True) == []
    assert said("postgres://u:p@db/model", location=True) == []
    assert said("https://host/m", location=True, how=How.ENVIRONMENT) == []
    assert is_place("MODEL_URI") and is_place("STORAGE_URI") and is_place("my_model_path")
    assert not is_place("DATABASE_URL") and not is_place("MODEL_NAME")


@pytest.mark.parametrize(
    ("text", "expected", "guess"),
    [
        ("ranker:7", {"model": "ranker", "version": "7"}, True),
        ("reg:5000/team/ranker:v12@sha256:" + "0" * 64, {"model": "ranker", "version": "12"}, True),
        (f"reg/ranker:{RUN}", {"run_id": RUN}, False),
        (f"reg/ranker:run-{RUN}", {"run_id": RUN}, False),
        ("reg:5000/ranker", None, True),
        ("nginx:1.27", None, True),
        ("ranker:latest", None, True),
        ("", None, True),
    ],
)
def test_images(text: str, expected: dict[str, str] | None, guess: bool) -> None:
    found = list(image((How.IMAGE, "", text)))
    assert [facts(each) for each in found] == ([expected] if expected else [])
    assert all(each.guess is guess for each in found)


@given(st.text(max_size=300))
def test_no_text_is_a_surprise(text: str) -> None:
    for each in (*said(text, location=True), *image((How.IMAGE, "", text))):
        assert each.model or each.run_id or each.model_id or each.location
        assert len(each.text) <= 200


def test_a_long_text_costs_little() -> None:
    assert said("a" * 2_000_000 + ":/") == []
    assert said("x" * 20_000 + " models:/a/1") == [], "only the beginning is looked at"
    assert len(serving_of(server(args=("models:/a/1 " * 5_000,)), context="c").references) == 1
    many = tuple(f"models:/a/{n}" for n in range(1, 100))
    assert len(serving_of(server(args=many), context="c").references) == 16


def refs(obj: AnyServer) -> list[tuple[str, dict[str, str], bool]]:
    return [(r.how.value, facts(r), r.guess) for r in serving_of(obj, context="c").references]


@pytest.mark.parametrize("group", ["mcp-tui.io", "mlflow.org"])
def test_labels_and_annotations_name_a_version_together(group: str) -> None:
    pair = {f"{group}/model": "ranker", f"{group}/model-version": "7"}
    expected = {"model": "ranker", "version": "7"}
    assert refs(server(labels=pair)) == [("label", expected, False)]
    assert refs(server(annotations=pair)) == [("annotation", expected, False)]
    [(_, ref, _)] = refs(server(annotations={f"{group}/model": "a b", f"{group}/model-alias": "x"}))
    assert ref == {"model": "a b", "alias": "x"}
    assert refs(server(labels={f"{group}/run-id": RUN})) == [("label", {"run_id": RUN}, False)]
    assert refs(server(labels={f"{group}/model": "r"})) == [("label", {"model": "r"}, False)]
    assert refs(server(labels={f"{group}/run-id": "short"})) == []


def test_the_templates_labels_count_and_a_copy_of_the_object_does_not() -> None:
    pair = {"mcp-tui.io/model": "ranker", "mcp-tui.io/model-version": "7"}
    template = {"template": {"metadata": {"labels": pair}}}
    assert refs(server(spec=template)) == [("label", {"model": "ranker", "version": "7"}, False)]
    copy = {"kubectl.kubernetes.io/last-applied-configuration": '{"x": "models:/ranker/6"}'}
    assert refs(server(annotations=copy)) == []


def test_words_that_others_use_are_guesses() -> None:
    expected = {"model": "ranker", "version": "7"}
    usual = {"app.kubernetes.io/name": "ranker", "app.kubernetes.io/version": "v7"}
    assert refs(server(labels=usual)) == [("label", expected, True)]
    assert refs(server(labels={"model": "ranker", "model-version": "7"})) == [
        ("label", expected, True)
    ]
    assert refs(server(env={"MODEL_NAME": "ranker", "MODEL_VERSION": "7"})) == [
        ("variable", expected, True)
    ]
    assert refs(server(env={"MLFLOW_MODEL_NAME": "ranker", "MLFLOW_MODEL_VERSION": "7"})) == [
        ("variable", expected, False)
    ]
    assert refs(server(env={"MLFLOW_RUN_ID": RUN})) == [("variable", {"run_id": RUN}, True)]
    assert refs(server(env={"MODEL_NAME": "ranker"})) == []
    assert refs(server(labels={"model": "ranker"})) == []


def test_an_exact_statement_stands_before_the_same_as_a_guess() -> None:
    both = server(picture="ranker:7", annotations={"x": "models:/ranker/7"})
    expected = {"model": "ranker", "version": "7"}
    assert refs(both) == [("annotation", expected, False)]
    later = server(labels={"model": "ranker", "model-version": "7"}, args=("models:/ranker/7",))
    assert refs(later) == [("argument", expected, False)]


@pytest.mark.parametrize("framework", ["model", "sklearn", "huggingface"])
def test_an_inference_service_names_its_storage(framework: str) -> None:
    uri = f"s3://bucket/0/{RUN}/artifacts/model"
    found = serving_of(inference({framework: {"storageUri": uri}}), context="c")
    [ref] = found.references
    assert facts(ref) == {"run_id": RUN, "path": "model", "location": uri}
    assert ref.how is How.STORAGE and found.kind == "InferenceService"


def test_other_ways_of_an_inference_service() -> None:
    assert refs(inference({"model": {"storageUri": "oci://reg/ranker:7"}}))[0] == (
        "storage URI",
        {"model": "ranker", "version": "7"},
        True,
    )
    own = {"containers": [{"name": "k", "env": [{"name": "M", "value": "models:/ranker/7"}]}]}
    assert refs(inference(own)) == [("variable", {"model": "ranker", "version": "7"}, False)]


def test_how_it_stands() -> None:
    def of(wanted: int, **status: Any) -> Serving:
        spec = {"replicas": wanted}
        return serving_of(server(spec=spec, status=status), context="c")

    up = of(3, replicas=3, updatedReplicas=3, readyReplicas=3)
    assert (up.state, up.replicas, up.why, up.note) == (ServingState.SERVING, "3/3", "", "")
    assert of(0).state is ServingState.OFF
    assert of(2).state is ServingState.STARTING
    stuck = {"type": "Progressing", "status": "False", "message": "deadline\nexceeded"}
    down = of(2, conditions=[stuck])
    assert (down.state, down.why) == (ServingState.FAILING, "deadline")
    assert down.stands() == "not ready 0/2: deadline"
    less = of(3, readyReplicas=2, conditions=[stuck])
    assert less.stands() == "serving 2/3: deadline"
    half = of(4, replicas=4, readyReplicas=4, updatedReplicas=1)
    assert half.state is ServingState.SERVING and "1 of 4 pods" in half.note
    canary = {"currentPodHash": "new", "stableRS": "old", "phase": "Paused", "readyReplicas": 1}
    assert "(paused)" in serving_of(server(Rollout, status=canary), context="c").note


def test_how_an_inference_service_stands() -> None:
    ready = {"type": "Ready", "status": "True"}
    uri = {"storageUri": "s3://b/x"}
    found = serving_of(inference({"model": uri}, conditions=[ready]), context="c")
    assert found.state is ServingState.SERVING and found.replicas == ""
    found = serving_of(inference({"model": uri, "canaryTrafficPercent": 10}), context="c")
    assert found.state is ServingState.STARTING and "10 %" in found.note
    broken = {**ready, "status": "False", "reason": "BlockedByFailedLoad"}
    found = serving_of(inference({"model": uri}, conditions=[broken]), context="c")
    assert (found.state, found.why) == (ServingState.FAILING, "BlockedByFailedLoad")


# -- the store


def store(*objects: AnyServer, context: str = "dev") -> ServingStore:
    made = ServingStore()
    made.apply(context, Delta(objects))
    made.flush()
    return made


def version(number: str = "7", name: str = "ranker", **fields: Any) -> ModelVersion:
    return ModelVersion(name=name, version=number, **fields)


def labels(found: tuple[Served, ...]) -> list[str]:
    return [each.short() for each in found]


def test_a_version_is_found_by_its_name_alias_run_and_place() -> None:
    place = "s3://bucket/models/ranker/7"
    it = store(
        server(name="named", annotations={"m": "models:/ranker/7"}),
        server(name="alias", args=("models:/ranker@champion",)),
        server(name="newest", args=("models:/ranker/latest",)),
        server(name="run", env={"MODEL_URI": f"runs:/{RUN}/model"}),
        server(name="place", env={"MODEL_URI": f"{place}/"}),
        server(name="image", picture="reg/ranker:v7"),
        server(name="other", annotations={"m": "models:/ranker/6"}),
        server(name="nothing", picture="nginx:1.27"),
    )
    seven = version(run_id=RUN, source=place)
    names = [each.serving.name for each in it.servings_of(seven, aliases=("champion",))]
    assert names == ["alias", "named", "place", "run", "image"]
    found = {e.serving.name: e for e in it.servings_of(seven, aliases=("champion", LATEST))}
    assert found["alias"].mark == "@champion" and "follows the alias" in found["alias"].words()
    assert found["newest"].mark == "@latest"
    assert found["image"].mark == "?" and "perhaps" in found["image"].words()
    assert found["named"].mark == "" and found["named"].words() == "annotation m: models:/ranker/7"
    assert "nothing" not in {each.name for each in it.table.values()}
    six = it.servings_of(version("6", run_id=OTHER, source="s3://bucket/models/ranker/6"))
    assert [each.serving.name for each in six] == ["other"]


def test_of_several_statements_the_surest_is_shown() -> None:
    both = ("models:/ranker@champion", f"runs:/{RUN}/model")
    [found] = store(server(args=both)).servings_of(version(run_id=RUN), aliases=("champion",))
    assert found.mark == "" and found.reference.run_id == RUN


def test_files_below_a_versions_source_are_of_it() -> None:
    it = store(inference({"model": {"storageUri": "s3://bucket/ranker/7/model/1"}}))
    assert it.servings_of(version(source="s3://bucket/ranker/7/"))
    assert not it.servings_of(version(source="s3://bucket/ranker/70"))


def test_a_run_that_made_two_models_is_told_apart_by_the_path() -> None:
    it = store(inference({"model": {"storageUri": f"s3://b/0/{RUN}/artifacts/small"}}))
    small = version("1", run_id=RUN, source=f"s3://b/0/{RUN}/artifacts/small")
    large = version("2", run_id=RUN, source=f"s3://b/0/{RUN}/artifacts/large")
    logged = version("3", run_id=RUN, source=f"models:/{LOGGED}")
    assert it.servings_of(small) and not it.servings_of(large)
    # A version of MLflow 3 does not say where in the run it is.
    assert it.servings_of(logged)


def test_a_logged_model_is_found_by_its_id() -> None:
    it = store(inference({"model": {"storageUri": f"s3://b/1/models/{LOGGED}/artifacts"}}))
    assert it.servings_of(version(source=f"models:/{LOGGED}"))
    assert it.servings_of(version(model_id=LOGGED))
    assert not it.servings_of(version(model_id=f"m-{OTHER}"))
    assert it.servings_of_run(OTHER, [LOGGED]) and not it.servings_of_run(OTHER)


def test_a_guess_counts_only_where_the_object_states_nothing() -> None:
    it = store(server(picture="ranker:7", args=("models:/ranker/6",)))
    assert it.servings_of(version("7")) == ()
    assert labels(it.servings_of(version("6"))) == ["Deployment/web 0/1"]


def test_names_of_another_registry_mean_nothing_but_ids_do() -> None:
    it = store(server(args=("models:/ranker/7", f"runs:/{RUN}/model")), context="prod")
    assert it.servings_of(version(), context="dev")
    it.belongs("prod", "http://b")
    assert it.servings_of(version(), context="dev"), "of one it is not known"
    it.belongs("dev", "http://a")
    assert not it.servings_of(version(), context="dev") and not it.naming("ranker", context="dev")
    assert it.servings_of(version(run_id=RUN), context="dev")
    it.belongs("dev", "http://b")
    assert it.servings_of(version(), context="dev")


def test_an_image_holds_a_name_as_it_can() -> None:
    it = store(server(picture="reg/it-s-a-ranker:7"))
    assert labels(it.servings_of(version(name="it's a Ranker"))) == ["Deployment/web 0/1 ?"]
    assert it.servings_of(version(name="ranker")) == ()
    # Where any name can be written, another one is another model.
    env = {"MODEL_NAME": "it-s-a-ranker", "MODEL_VERSION": "7"}
    assert store(server(env=env)).servings_of(version(name="it's a Ranker")) == ()


def test_what_another_object_made_is_part_of_it() -> None:
    uri = {"storageUri": f"s3://b/0/{RUN}/artifacts/model"}
    owner = {"kind": "InferenceService", "name": "isvc", "uid": "uid-isvc", "controller": True}
    made = server(
        name="isvc-predictor",
        args=(f"s3://b/0/{RUN}/artifacts/model",),
        metadata={"ownerReferences": [owner]},
        spec={"replicas": 2},
        status={"readyReplicas": 1},
    )
    by_label = server(
        name="isvc-predictor-00001",
        labels={"serving.kserve.io/inferenceservice": "isvc"},
    )
    for part in (made, by_label):
        it = store(inference({"model": uri}), part)
        [found] = it.servings_of(version(run_id=RUN))
        assert found.serving.kind == "InferenceService"
        assert found.serving.replicas == ("1/2" if part is made else "0/1")
    # Without the right to see what made it, it stands for itself.
    [alone] = store(made).servings_of(version(run_id=RUN))
    assert alone.serving.name == "isvc-predictor"


def test_a_rollout_takes_over_what_its_workload_says() -> None:
    ref = {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pods"}}
    rollout = server(Rollout, "roll", spec=ref)
    it = store(rollout)
    assert len(it.table) == 0
    it.apply("dev", Delta((server(name="pods", args=("models:/ranker/7",), spec={"replicas": 0}),)))
    it.flush()
    assert labels(it.servings_of(version())) == ["Rollout/roll 0/1", "Deployment/pods scaled to 0"]


def test_changes_and_ends_are_followed() -> None:
    it = store(server(args=("models:/ranker/7",)))
    before = it.table.version
    assert not it.dirty and not it.flush()
    it.apply("dev", Delta((server(args=("models:/ranker/7",)),)))
    assert not it.dirty
    it.apply("dev", Delta((server(args=("models:/ranker/8",)),)))
    assert it.flush().changed and it.table.version > before
    assert not it.servings_of(version("7")) and it.servings_of(version("8"))
    it.apply("dev", Delta((server(),)))
    assert it.flush().removed and not it.servings_of(version("8"))
    it.apply("dev", Delta((server(args=("models:/ranker/8",)),)))
    it.flush()
    it.apply("dev", Delta((), ("uid-web",)))
    assert it.flush().removed and len(it.table) == 0


def test_contexts_are_kept_apart_and_forgotten_apart() -> None:
    it = ServingStore()
    for context in ("dev", "prod"):
        it.apply(context, Delta((server(uid="same", args=("models:/ranker/7",)),)))
    it.flush()
    assert [each.serving.context for each in it.servings_of(version())] == ["dev", "prod"]
    it.forget("dev")
    it.flush()
    assert [each.serving.context for each in it.servings_of(version())] == ["prod"]


def test_what_names_a_model_without_a_version() -> None:
    it = store(server(args=("models:/ranker/Production",)))
    assert it.servings_of(version()) == ()
    assert labels(it.naming("ranker")) == ["Deployment/web 0/1"]
    it = store(server(args=("models:/ranker@live",)))
    assert labels(it.naming("ranker")) == ["Deployment/web 0/1 @live"]


def test_aliases_of_a_version() -> None:
    aliases = {"champion": "7", "challenger": "8", "a": "7"}
    assert aliases_of(version(), aliases, 8) == ("a", "champion")
    assert aliases_of(version("8"), aliases, 8) == ("challenger", LATEST)


def test_sources_of_versions() -> None:
    assert run_in(f"mlflow-artifacts:/0/{RUN}/artifacts/model") == (RUN, "model")
    assert run_in(f"models:/{LOGGED}") == ("", "")
    assert model_id_in(f"models:/{LOGGED}") == LOGGED
    assert model_id_in("s3://b/x") == "" == model_id_in("")


def test_an_object_that_breaks_us_hides_no_other_of_its_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(obj: AnyServer, *, context: str) -> Serving:
        if obj.metadata.name == "bad":
            raise ValueError
        return serving_of(obj, context=context)

    monkeypatch.setattr("mcp_tui.store.serving.serving_of", broken)
    it = ServingStore()
    connection = SimpleNamespace(info=SimpleNamespace(name="dev"))
    feed = ServingFeed(cast(Connection, connection), None, it)
    page = tuple(server(name=name, args=("models:/ranker/7",)) for name in ("a", "bad", "c"))
    feed._apply("deployments", Delta(page))
    it.flush()
    assert [each.serving.name for each in it.servings_of(version())] == ["a", "c"]
    assert feed.troubles() == ("defect in deployments: ValueError",)
