"""What importing a layer drags in: the first frame and ``job ls`` must stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pandas", "numpy", "scipy", "mlflow", "kubernetes", "starlette", "uvicorn", "cryptography")
CLIENTS = ("httpx", "websockets", "prometheus_api_client", *HEAVY)
SCREEN = ("textual", "rich")

CASES: dict[str, tuple[str, ...]] = {
    "mcp_tui.domain.plan, mcp_tui.domain.cause, mcp_tui.domain.trainconfig": (*CLIENTS, *SCREEN),
    "mcp_tui.domain.manifest, mcp_tui.domain.decode": (*CLIENTS, *SCREEN),
    "mcp_tui.stats, mcp_tui.stats.bootstrap, mcp_tui.stats.mcnemar": (*CLIENTS, *SCREEN),
    "mcp_tui.domain.compare, mcp_tui.domain.evaltable, mcp_tui.domain.gates": (*CLIENTS, *SCREEN),
    "mcp_tui.domain.approval_rules, mcp_tui.cli.evaluate": (*CLIENTS, *SCREEN),
    "mcp_tui.config": (*CLIENTS, *SCREEN, "yaml"),
    "mcp_tui.sources.kubernetes.transport, mcp_tui.sources.kubernetes.reflector": (
        *CLIENTS,
        *SCREEN,
    ),
    "mcp_tui.store.table, mcp_tui.store.select, mcp_tui.store.joblogs": (*CLIENTS, *SCREEN),
    "mcp_tui.actions.engine, mcp_tui.actions.submit": (*CLIENTS, *SCREEN),
    "mcp_tui.cli, mcp_tui.cli.parser": (*CLIENTS, *SCREEN, "yaml"),
    "mcp_tui.cli.jobs, mcp_tui.cli.submit, mcp_tui.cli.act, mcp_tui.cli.doctor": (
        *CLIENTS,
        *SCREEN,
    ),
    "mcp_tui.cli.runs, mcp_tui.cli.runshow, mcp_tui.cli.curves, mcp_tui.cli.approve": (
        *CLIENTS,
        *SCREEN,
    ),
    "mcp_tui.tui.app": CLIENTS,
}


@pytest.mark.parametrize("modules", CASES)
def test_a_layer_imports_nothing_heavy(modules: str) -> None:
    code = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert not loaded & set(CASES[modules])


def test_the_check_can_fail() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, textual.app; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "rich" in done.stdout.split()
