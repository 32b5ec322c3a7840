"""Fixtures that every test may use: the real ground, the embedded plane, fresh namespaces.

One ground serves a whole run: the first worker that needs it starts it under a file lock, the
others attach, and it ends with the process that started the run, however that one ends.
``MCP_TUI_GROUND=DIR`` uses a ground that is running already (``make cluster``), which makes
working on one test a matter of seconds.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.cluster import Ground, GroundError
from tests.cluster.cache import locked
from tests.cluster.ground import CONTEXTS, read_state, stop
from tests.cluster.namespace import possible as namespace_possible
from tests.cluster.plane import REPO
from tests.cluster.process import MARK, end_marked
from tests.soak import SOAK, times

_RUN = "MCP_TUI_TEST_RUN"
_OWNER = "MCP_TUI_TEST_OWNER"
_GROUNDS = ("ground", "ground3", "kubeflow", "secluded")
_REAL_FIXTURES = {*_GROUNDS, "namespace"}

# A test that hangs must not eat the time of the whole run; both limits are far above any need.
_TEST_LIMIT = float(os.environ.get("MCP_TUI_TEST_LIMIT", times(300, 3_600)))
_RUN_LIMIT = float(os.environ.get("MCP_TUI_RUN_LIMIT", times(3_000, 14_400)))


# A loaded machine is no defect. In CI the same examples are tried each time; elsewhere new ones.
settings.register_profile(
    "house",
    deadline=None,
    derandomize=os.environ.get("CI", "").lower() in ("1", "true", "yes"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


# --- one run


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a directory that all its workers know, and a limit of its own."""
    _heed_signals()
    if _is_worker(config):
        return
    os.environ[_RUN] = tempfile.mkdtemp(prefix="mcp-tui-run-")
    os.environ[_OWNER] = str(os.getpid())
    timer = threading.Timer(_RUN_LIMIT, _out_of_time)
    timer.daemon = True
    timer.start()


def _heed_signals() -> None:
    """Let what tests start be interrupted, whatever this run was started with.

    A run in the background of a script, or under nohup, inherits signals that are ignored, and so
    would each console and command that a test means to interrupt.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def _out_of_time() -> None:
    sys.stderr.write(f"\nthe run took more than {_RUN_LIMIT:.0f} s: stopping it\n")
    faulthandler.dump_traceback(all_threads=True)
    os.kill(os.getpid(), signal.SIGINT)
    kill = threading.Timer(30, lambda: os._exit(3))
    kill.daemon = True
    kill.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the run started."""
    if _is_worker(config) or os.environ.get(_OWNER) != str(os.getpid()):
        return
    run = Path(os.environ[_RUN])
    for name in reversed(_GROUNDS):
        stop(run / name)
    shutil.rmtree(run, ignore_errors=True)


class Watchdog:
    """Ends this process when one test runs far too long; xdist reports that and goes on."""

    def __init__(self) -> None:
        self._test = ""
        self._timer: threading.Timer | None = None

    def start(self, test: str) -> None:
        """Give ``test`` its time."""
        self.stop()
        self._test = test
        self._timer = threading.Timer(_TEST_LIMIT, self._hung)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Take the limit away: the test ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count what is done meanwhile: building servers takes as long as it takes."""
        self.stop()
        try:
            yield
        finally:
            self.start(self._test)

    def _hung(self) -> None:
        with Path(os.environ[_RUN], f"hung-{os.getpid()}.log").open("w") as log:
            log.write(f"\n{self._test} took more than {_TEST_LIMIT:.0f} s\n")
            log.flush()
            faulthandler.dump_traceback(file=log, all_threads=True)
        os._exit(3)


_watchdog = Watchdog()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where a test hung."""
    for log in sorted(Path(os.environ[_RUN]).glob("hung-*.log")):
        terminalreporter.write_line(log.read_text())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Bound the time of every test."""
    _watchdog.start(item.nodeid)
    try:
        return (yield)
    finally:
        _watchdog.stop()


def _minutes(item: pytest.Item) -> float:
    mark = item.get_closest_marker("soak")
    return float(mark.kwargs.get("minutes", 0)) if SOAK and mark else 0.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the real control plane, and begin with what is known to take long.

    A worker that runs out of tests is given those from the end of another's: what takes long and
    stood there would be left to a single worker.
    """
    items.sort(key=_minutes, reverse=True)
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        params = getattr(getattr(item, "callspec", None), "params", {})
        if names & _REAL_FIXTURES or params.get("kube") == "real":
            item.add_marker("real")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test against the real servers may not be skipped: that is a failure."""
    report = yield
    ci = os.environ.get("CI", "").lower() in ("1", "true", "yes")
    if (
        ci
        and report.skipped
        and item.get_closest_marker("real")
        and not hasattr(report, "wasxfail")
    ):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, which CI does not allow: {report.longrepr}"
    return report


# --- the real ground


def _shared(
    name: str,
    contexts: tuple[str, ...],
    base: Path | None = None,
    *,
    extras: tuple[str, ...] = (),
    secluded: bool = False,
) -> Ground:
    """The ground ``name`` of this run, started by whichever worker comes first.

    ``MCP_TUI_KUBEFLOW=DIR`` and the like use one that is running already.
    """
    given = os.environ.get(f"MCP_TUI_{name.upper()}")
    if given:
        return Ground.attach(Path(given).resolve())
    run = Path(os.environ[_RUN])
    failed = run / f"{name}.failed"
    with _watchdog.paused(), locked(run / f"{name}.lock"):
        if failed.exists():
            raise GroundError(failed.read_text())
        if read_state(run / name) is not None:
            return Ground.attach(run / name)
        try:
            return Ground.start(
                run / name,
                contexts=contexts,
                owner=int(os.environ[_OWNER]),
                base=base,
                extras=extras,
                secluded=secluded,
            )
        except Exception as error:  # every other worker is to fail at once, with the same words
            failed.write_text(str(error))
            raise


@pytest.fixture(scope="session")
def ground() -> Ground:
    """One real cluster (``dev``) with MLflow and Prometheus, shared by the whole run."""
    return _shared("ground", CONTEXTS[1])


@pytest.fixture(scope="session")
def ground3(ground: Ground) -> Ground:
    """Three real clusters, ``dev``, ``test`` and ``prod``; ``dev`` is the one of ``ground``."""
    if len(ground.clusters) == 3:
        return ground
    others = tuple(name for name in CONTEXTS[3] if name not in ground.clusters)
    return _shared("ground3", others, base=ground.directory)


@pytest.fixture(scope="session")
def kubeflow(ground: Ground) -> Ground:
    """``ground`` and one more cluster, ``kubeflow``, where JobSet, TrainJob and PyTorchJob live,
    and where metrics-server measures pods.

    Their real controllers run there and only there: elsewhere tests may write the statuses of
    such objects without being overruled.
    """
    return _shared("kubeflow", ("kubeflow",), base=ground.directory, extras=("kubeflow", "metrics"))


@pytest.fixture(scope="session")
def secluded() -> Ground:
    """A small cluster in a network of its own, where MLflow and Prometheus are Services.

    It shares nothing with ``ground``. In CI it must be possible to make one.
    """
    why = namespace_possible()
    if why:
        pytest.skip(why)
    return _shared("secluded", ("dev",), secluded=True)


@pytest.fixture
def namespace(ground: Ground) -> Iterator[str]:
    """A fresh namespace on ``ground``; deleted afterwards (nobody waits for that)."""
    name = f"t-{secrets.token_hex(4)}"
    body = {"metadata": {"name": name}}
    ground.api("POST", "/api/v1/namespaces", body).ok()
    yield name
    ground.api("DELETE", f"/api/v1/namespaces/{name}")


# --- the real and the embedded plane behind one face


@functools.cache
def _trusting(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


@dataclass(frozen=True)
class Plane:
    """A running API server: ``name`` is ``real`` or ``embedded``."""

    name: str
    kubeconfig: Path
    context: str
    server: str
    token: str
    ca: Path | None

    def client(self) -> httpx.Client:
        """An HTTP client that is logged in as the administrator."""
        return httpx.Client(
            base_url=self.server,
            headers={"Authorization": f"Bearer {self.token}"},
            verify=_trusting(self.ca) if self.ca else True,
            timeout=30.0,
            trust_env=False,
        )


def _real_plane(ground: Ground) -> Plane:
    dev = ground.dev
    return Plane("real", ground.kubeconfig, dev.name, dev.server, dev.tokens["admin"], dev.ca)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """The embedded control plane of the demo, one for each worker."""
    directory = tmp_path_factory.mktemp("plane")
    mark = secrets.token_hex(8)
    with (directory / "plane.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_tui.demo.plane", "--dir", str(directory)],
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env={**os.environ, MARK: mark},
        )
    # A server that never says anything must not hang the run.
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.fail(
                f"the embedded plane did not start:\n{(directory / 'plane.log').read_text()}"
            )
        timer.cancel()
        said = json.loads(line)
        kubeconfig = Path(said["kubeconfig"])
        ca = Path(said["ca"]) if said.get("ca") else None
        yield Plane("embedded", kubeconfig, said["context"], said["server"], said["token"], ca)
    finally:
        timer.cancel()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        end_marked(mark)


@pytest.fixture(params=["real", "embedded"])
def kube(request: pytest.FixtureRequest) -> Plane:
    """A control plane; the test runs once on the real one and once on the embedded one."""
    if request.param == "embedded":
        plane: Plane = request.getfixturevalue("embedded")
        return plane
    return _real_plane(request.getfixturevalue("ground"))


@pytest.fixture
def kube_namespace(kube: Plane) -> Iterator[str]:
    """A fresh namespace on ``kube``."""
    name = f"t-{secrets.token_hex(4)}"
    with kube.client() as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
        yield name
        client.delete(f"/api/v1/namespaces/{name}")
