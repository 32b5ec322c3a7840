"""``mcp-tui job logs`` where some of a job's logs cannot be read."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.contract.test_store_live import create, ended, job_of
from tests.faults.proxy import Answer, Fault, FaultProxy

LOG = r"/pods/[^/]+/log"


@pytest_asyncio.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca) as it:
        yield it


async def logs(proxy: FaultProxy, ground: Ground, folder: Path, *argv: str) -> tuple[int, str, str]:
    kubeconfig = proxy.kubeconfig(folder / "kubeconfig", token=ground.dev.tokens["admin"])
    env = {**os.environ, "KUBECONFIG": str(kubeconfig), "MCP_TUI_CONFIG": os.devnull}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcp_tui", *argv[:2], "job", "logs", *argv[2:]),
        cwd=REPO,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("follow", [False, True], ids=["once", "followed"])
@pytest.mark.parametrize(("status", "code"), [(403, 3), (500, 4), (404, 0)])
async def test_what_cannot_be_read_is_said_and_not_passed_over(
    status: int,
    code: int,
    follow: bool,
    ground: Ground,
    namespace: str,
    proxy: FaultProxy,
    tmp_path: Path,
) -> None:
    """What can is printed; a pod that is deleted meanwhile is no fault."""
    await create(ground, namespace, job_of("three", "echo one line", completions=3, parallelism=3))
    await ended(ground, namespace, "three")
    body = {"kind": "Status", "code": status, "message": "not this one"}
    found = Answer(status, json.dumps(body).encode())
    fault = proxy.add(Fault(found, path=LOG, times=1 if not follow or status != 500 else None))
    options = ("-f",) if follow else ()
    got, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three", *options)
    assert fault.hits
    assert got == code, (out, err)
    left = 2 if fault.times else 0
    assert out.count("one line") == left, out
    said = [line for line in err.splitlines() if "not this one" in line]
    assert len(said) == (0 if code == 0 else 1), err


async def test_nothing_that_can_be_read_is_one_error(
    ground: Ground, namespace: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    await create(ground, namespace, job_of("three", "echo one line", completions=3, parallelism=3))
    await ended(ground, namespace, "three")
    refusal = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "not you"}
    proxy.add(Fault(Answer(403, json.dumps(refusal).encode()), path=LOG))
    code, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three")
    assert (code, out, err.count("not you"), err.count("\n")) == (3, "", 1, 1), err
    # A job that is not there yet has no pods that could be listed either.
    proxy.add(Fault(Answer(403, json.dumps(refusal).encode()), path=r"/pods\?"))
    code, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three")
    assert (code, out) == (3, "") and "not you" in err, (out, err)
