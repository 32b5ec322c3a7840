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


def answer(status: int, words: str) -> Answer:
    body = {"kind": "Status", "code": status, "message": words}
    return Answer(status, json.dumps(body).encode())


@pytest.mark.parametrize("follow", [False, True], ids=["once", "followed"])
@pytest.mark.parametrize(("status", "code"), [(403, 3), (500, 4), (404, 4)])
async def test_what_cannot_be_read_is_said_and_not_passed_over(
    status: int,
    code: int,
    follow: bool,
    ground: Ground,
    namespace: str,
    proxy: FaultProxy,
    tmp_path: Path,
) -> None:
    """What can be read is printed."""
    await create(ground, namespace, job_of("three", "echo one line", completions=3, parallelism=3))
    await ended(ground, namespace, "three")
    # One that is answered so goes wrong for a moment only, and a followed log outlives that.
    times = None if follow and status == 500 else 1
    fault = proxy.add(Fault(answer(status, "not this one"), path=LOG, times=times))
    options = ("-f",) if follow else ()
    got, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three", *options)
    assert fault.hits
    assert got == code, (out, err)
    assert out.count("one line") == (0 if times is None else 2), out
    # What goes wrong again and again is said while it may still end well, and once it has not.
    assert err.count("not this one") <= (1 if times else 2) and "not this one" in err, err


@pytest.mark.parametrize("follow", [False, True], ids=["once", "followed"])
async def test_the_log_of_a_pod_that_was_deleted_meanwhile_is_no_fault(
    follow: bool, ground: Ground, namespace: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    await create(ground, namespace, job_of("three", "echo one line", completions=3, parallelism=3))
    await ended(ground, namespace, "three")
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods = (await asyncio.to_thread(ground.api, "GET", path)).ok()["items"]
    name = pods[0]["metadata"]["name"]
    found = answer(404, f'pods "{name}" not found')
    fault = proxy.add(Fault(found, path=rf"/pods/{name}/log"))
    options = ("-f",) if follow else ()
    code, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three", *options)
    assert fault.hits
    assert (code, out.count("one line"), err) == (0, 2, "")


async def test_nothing_that_can_be_read_is_one_error(
    ground: Ground, namespace: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    await create(ground, namespace, job_of("three", "echo one line", completions=3, parallelism=3))
    await ended(ground, namespace, "three")
    proxy.add(Fault(answer(403, "not you"), path=LOG))
    for options in ((), ("-f",)):
        code, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three", *options)
        assert (code, out, err.count("not you"), err.count("\n")) == (3, "", 1, 1), err
        assert "(3 logs)" in err or options
    # Where one is refused and others fail, the refusal counts.
    proxy.clear()
    proxy.add(Fault(answer(500, "no node"), path=LOG, times=1))
    proxy.add(Fault(answer(403, "not you"), path=LOG))
    code, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three")
    assert (code, out) == (3, "") and "not you" in err and "no node" in err, err
    proxy.clear()
    proxy.add(Fault(answer(404, "no such node"), path=LOG))
    code, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three")
    assert (code, out) == (4, "") and "no such node (3 logs)" in err, err
    proxy.clear()
    # A job that is not there yet has no pods that could be listed either.
    proxy.add(Fault(answer(403, "not you"), path=r"/pods\?"))
    code, out, err = await logs(proxy, ground, tmp_path, "-n", namespace, "three")
    assert (code, out) == (3, "") and "not you" in err, (out, err)
