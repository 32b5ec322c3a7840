"""``job ls`` over more jobs than a page holds: every one once, in every format, ended quietly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml

from tests.cluster.plane import REPO
from tests.conftest import Plane
from tests.faults.proxy import Answer, Fault, FaultProxy, Hold, Stall

COUNT = 620
NAMESPACE = "pages"
PATH = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
NEXT_PAGE = r"/jobs\?.*continue="
DEADLINE = 120.0
GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}


def body(name: str) -> dict[str, Any]:
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "python:3", "command": ["true"]}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }


def name_of(number: int) -> str:
    return f"train-{number:04d}"


# Of the session, as the plane is: tests of other files may run between those of this one.
@pytest.fixture(scope="session")
def many(embedded: Plane) -> Plane:
    """The embedded plane with more jobs than one page holds."""
    with embedded.client() as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": NAMESPACE}})
        for number in range(COUNT):
            client.post(PATH, json=body(name_of(number))).raise_for_status()
    return embedded


@dataclass
class Listing:
    """``job ls`` through a proxy."""

    plane: Plane
    proxy: FaultProxy
    env: dict[str, str]

    async def start(self, *args: str, shell: str = "") -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "mcp_tui", "-n", NAMESPACE, "job", "ls", *args]
        if shell:
            command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "-", *command]
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=REPO,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def run(self, *args: str, shell: str = "") -> tuple[int, str, str]:
        process = await self.start(*args, shell=shell)
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def names(self) -> list[str]:
        code, out, err = await self.run("-o", "name", "--timeout", "60")
        assert (code, err) == (0, ""), err
        return sorted(line.removeprefix("job/") for line in out.splitlines())

    def client(self) -> httpx.Client:
        return self.plane.client()


@pytest_asyncio.fixture
async def listing(many: Plane, tmp_path: Path) -> AsyncIterator[Listing]:
    async with FaultProxy(many.server, ca=many.ca) as proxy:
        kubeconfig = proxy.kubeconfig(tmp_path / "kubeconfig", token=many.token)
        settings = tmp_path / "mcp-tui.toml"
        settings.write_text("")
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
            "KUBECONFIG": str(kubeconfig),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        yield Listing(many, proxy, env)


ALL = [name_of(number) for number in range(COUNT)]


async def test_every_job_is_listed_once_in_every_format(listing: Listing) -> None:
    assert await listing.names() == ALL
    assert listing.proxy.count(NEXT_PAGE) == 1
    code, out, _ = await listing.run("-o", "json")
    as_json = json.loads(out)
    assert code == 0 and sorted(row["name"] for row in as_json) == ALL
    code, out, _ = await listing.run("-o", "yaml")
    as_yaml = yaml.load(out, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert code == 0 and [{**row, "since": 0} for row in as_yaml] == [
        {**row, "since": 0} for row in as_json
    ]
    for words in ((), ("-o", "wide")):
        code, out, _ = await listing.run(*words)
        head, *rows = out.splitlines()
        assert code == 0 and head.split()[:2] == ["STATE", "NAMESPACE" if words else "NAME"]
        assert len(rows) == COUNT
    none = await listing.run("-o", "json", "-l", "no=such")
    assert (none[0], none[1]) == (0, "[]\n")
    assert (await listing.run("-o", "yaml", "-l", "no=such"))[1] == "[]\n"


@pytest.mark.parametrize("times", [1, 2])
async def test_a_page_that_is_forgotten_meanwhile(listing: Listing, times: int) -> None:
    gone = listing.proxy.add(
        Fault(Answer(410, json.dumps(GONE).encode()), path=NEXT_PAGE, times=times)
    )
    assert await listing.names() == ALL
    assert gone.hits == times


async def test_what_changes_between_pages_takes_no_other_with_it(listing: Listing) -> None:
    hold = Hold()
    listing.proxy.add(Fault(hold, path=NEXT_PAGE, nth=1))
    task = asyncio.create_task(listing.names())
    await asyncio.wait_for(hold.reached.wait(), DEADLINE)
    extra = [f"train-9{number:03d}" for number in range(3)]
    try:
        with listing.client() as client:
            # The resourceVersion of the list is not that of the cluster any more.
            for each in extra:
                client.post(PATH, json=body(each)).raise_for_status()
            client.delete(f"{PATH}/{name_of(0)}").raise_for_status()
            client.delete(f"{PATH}/{name_of(COUNT - 1)}").raise_for_status()
            hold.release.set()
            found = await asyncio.wait_for(task, DEADLINE)
            assert len(found) == len(set(found))
            assert set(ALL[1:-1]) <= set(found) <= {*ALL, *extra}
            listing.proxy.clear()
            assert await listing.names() == sorted({*ALL[1:-1], *extra})
    finally:
        with listing.client() as client:
            for each in extra:
                client.delete(f"{PATH}/{each}")
            for number in (0, COUNT - 1):
                client.post(PATH, json=body(name_of(number)))


@pytest.mark.parametrize("output", ["table", "wide", "name", "json", "yaml"])
async def test_a_reader_that_goes_away_is_no_error(listing: Listing, output: str) -> None:
    code, out, err = await listing.run("-o", output, shell="| head -n 1")
    assert (code, err) == (0, "") and len(out.splitlines()) == 1


async def test_an_interrupt_in_the_middle_of_the_list(listing: Listing) -> None:
    fault = listing.proxy.add(Fault(Stall(), path=NEXT_PAGE))
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = await listing.start("--timeout", "300")
        hits = fault.hits
        async with asyncio.timeout(DEADLINE):
            while fault.hits == hits:
                await asyncio.sleep(0.02)
        process.send_signal(number)
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert (process.returncode, out, err) == (code, b"", b"")


async def test_a_list_that_does_not_end_is_given_up(listing: Listing) -> None:
    listing.proxy.add(Fault(Stall(), path=NEXT_PAGE))
    code, out, err = await listing.run("--timeout", "2")
    assert (code, out) == (4, "")
    assert "no answer within 2 s" in err and len(err.splitlines()) == 1
