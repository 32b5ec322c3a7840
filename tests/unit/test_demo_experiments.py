"""The demo's experiments without a server: what is trained, written, and told of it."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from mcp_tui.demo.experiments.__main__ import main
from mcp_tui.demo.experiments.catalog import EXPERIMENTS, MODELS, Model, Spec
from mcp_tui.demo.experiments.data import load
from mcp_tui.demo.experiments.files import evaluation, model_files, picture
from mcp_tui.demo.experiments.fits import LATENCIES, fit
from mcp_tui.demo.experiments.origin import commit_of
from mcp_tui.demo.experiments.registry import set_back
from mcp_tui.demo.experiments.wire import Wire
from mcp_tui.domain.evalfiles import Confusion, Predictions, Report, kind_of, read
from mcp_tui.domain.evalnames import understand
from mcp_tui.domain.mlmodel import columns, parse_mlmodel
from mcp_tui.errors import ApiError, UnreachableError

SPECS = [(name, spec) for name, specs in EXPERIMENTS.items() for spec in specs]


def spec_of(experiment: str, name: str) -> Spec:
    return next(spec for spec in EXPERIMENTS[experiment] if spec.name == name)


def test_the_catalog_holds_together() -> None:
    for specs in EXPERIMENTS.values():
        names = [spec.name for spec in specs]
        assert len(set(names)) == len(names)
        for at, spec in enumerate(specs):
            assert not spec.parent or spec.parent in names[:at], "a parent is made first"
    assert {spec.status for _, spec in SPECS} == {"FINISHED", "FAILED", "RUNNING"}
    assert {spec.traced for _, spec in SPECS} == {True, False}


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_what_is_told_of_a_model_can_have_been(model: Model) -> None:
    runs = {spec.name: spec for spec in EXPERIMENTS[model.experiment]}
    for version in model.versions:
        run = runs[version.run]
        assert version.ago <= run.ago - run.minutes / 60, "a version is made of a run that ended"
        assert run.status == "FINISHED"
    assert [m.ago for m in model.moves] == sorted((m.ago for m in model.moves), reverse=True)
    for move in model.moves:
        assert move.ago <= model.versions[int(move.to) - 1].ago


def test_a_data_set_is_the_same_at_each_start() -> None:
    first = load("wine")
    load.cache_clear()
    again = load("wine")
    assert again is not first
    assert again.inputs == first.inputs
    assert again.training.digest != again.held_out.digest
    assert not set(again.training.ids) & set(again.held_out.ids)


@pytest.mark.parametrize(
    ("experiment", "name"), [("wine", "mlp-16"), ("wine", "forest"), ("wine", "svm")]
)
def test_a_model_is_really_trained_and_says_how_good_it_is(experiment: str, name: str) -> None:
    data, spec = load(experiment), spec_of(experiment, name)
    found = fit(spec, data)
    assert found.model is not None
    assert not found.error
    assert len(found.points) == max(1, spec.steps)
    assert len(found.latencies) == LATENCIES
    assert min(found.latencies) > 0
    first, last = found.points[0], found.points[-1]
    assert last.values["f1_macro"] > 0.85
    if "train_loss" in first.values and spec.kind == "mlp":
        assert last.values["train_loss"] < first.values["train_loss"] / 2
    assert all("system/cpu_utilization_percentage" in point.system for point in found.points)
    # The files say the same as the last point of the curve.
    files, figures = evaluation(found.model, data)
    parsed = {type(each): each for each in (read(p, d) for p, d in files.items() if readable(p))}
    report, predictions = parsed[Report], parsed[Predictions]
    assert isinstance(report, Report)
    assert isinstance(predictions, Predictions)
    assert report.averages["f1_macro"] == pytest.approx(last.values["f1_macro"])
    assert predictions.ids == data.held_out.ids
    assert Confusion in parsed
    assert {understand(figure).key for figure in figures if understand(figure)} == set(figures)  # type: ignore[union-attr]  # None is filtered


def readable(path: str) -> bool:
    return bool(kind_of(path))


def test_a_rate_that_grows_ends_in_nan() -> None:
    losses = [
        point.values["train_loss"]
        for point in fit(spec_of("digits", "rate-warm-up"), load("digits")).points
    ]
    finite = [loss for loss in losses if not math.isnan(loss)]
    assert 5 < len(finite) < len(losses)
    assert min(finite) < finite[0] / 2, "it learned before"
    assert all(math.isnan(loss) for loss in losses[len(finite) :])


def test_a_broken_table_fails_with_the_librarys_words() -> None:
    found = fit(spec_of("digits", "svm-night"), load("digits"))
    assert found.model is None
    assert "ValueError: Input X contains NaN" in found.error
    # And spoils it for nobody else.
    assert fit(spec_of("digits", "mlp-fast"), load("digits")).model is not None


def test_the_model_file_says_what_the_model_takes() -> None:
    data = load("wine")
    found = fit(spec_of("wine", "svm"), data)
    files = model_files(found.model, data, "a" * 32, 1_700_000_000.0)
    told = parse_mlmodel(files["MLmodel"])
    assert told is not None
    assert columns(told.inputs)[0] == "alcohol: double"
    assert columns(told.outputs) == ("tensor int64 [-1]",)
    assert told.size == len(files["model.pkl"])


def test_the_picture_is_one() -> None:
    image = pytest.importorskip("PIL.Image")
    found = image.open(io.BytesIO(picture([[3, 1], [0, 4]], cell=5)))
    assert found.size == (10, 10)
    # Dark on the diagonal, white where nothing is.
    assert found.getpixel((9, 9)) < found.getpixel((9, 0)) < found.getpixel((0, 9)) == 255


def test_without_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path, "main") == ""


def test_a_database_of_another_shape_is_left_alone(tmp_path: Path) -> None:
    set_back(tmp_path / "none.db", MODELS, 0.0)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "other.db").write_text("not a database")
    set_back(tmp_path / "other.db", MODELS, 0.0)
    assert (tmp_path / "other.db").read_text() == "not a database"


def test_nothing_else_of_the_demo_loads_what_trains() -> None:
    code = (
        "import sys, mcp_tui.cli.demo, mcp_tui.demo.seed, mcp_tui.demo.experiments.__main__;"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"sklearn", "numpy", "mlflow"} & set(done.stdout.split())


class Answers(BaseHTTPRequestHandler):
    """A tracking server that knows nothing yet, and refuses what it is sent."""

    def do_GET(self) -> None:
        self._say(200 if self.path == "/health" else 404, b"<html>")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        made = b'{"experiment_id": "1"}' if self.path.endswith("experiments/create") else b"{}"
        self._say(200, made)

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def tracker() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_without_scikit_learn_that_is_said(
    tracker: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load.cache_clear()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # so that it is put back
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr("mcp_tui.demo.experiments.__main__._REPOSITORY", 0.0)
    monkeypatch.setattr("os.nice", lambda _: 0)
    assert main(["--dir", str(tmp_path), "--mlflow", tracker]) == 1
    said = capsys.readouterr().err
    assert said.startswith("no experiments are made")
    assert len(said.splitlines()) == 1


def test_a_server_that_is_not_there_is_said() -> None:
    wire = Wire("http://127.0.0.1:1")
    with pytest.raises(UnreachableError, match="ConnectionRefusedError"):
        wire.wait(0.0)


def test_a_refusal_is_said_with_the_servers_words(tracker: str) -> None:
    wire = Wire(tracker)
    with pytest.raises(ApiError, match="<html>") as caught:
        wire.get("runs/get", run_id="x")
    assert caught.value.status == 404
    wire.close()


def test_inputs_are_as_mlflow_takes_them() -> None:
    for each in load("digits").inputs:
        assert json.loads(each["dataset"]["source"])["loader"] == "sklearn.datasets.load_digits"
        assert msgspec.json.encode(each)
