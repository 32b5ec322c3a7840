"""A job whose pod runs, on nodes where nothing does."""

from __future__ import annotations

import asyncio

from tests.faults.acting import Actor


async def let_run(actor: Actor, job: str) -> None:
    """Let a pod of the job run, as a kubelet would say: one can go into no other."""
    pods = f"/api/v1/namespaces/{actor.namespace}/pods"
    selector = {"labelSelector": f"batch.kubernetes.io/job-name={job}"}
    async with asyncio.timeout(60):
        while not (found := (await actor.api("GET", pods, params=selector))["items"]):
            await asyncio.sleep(0.1)
    since = {"startedAt": "2026-11-23T03:00:00Z"}
    main = {"name": "main", "image": "none", "imageID": "", "ready": True, "restartCount": 0,
            "state": {"running": since}}  # fmt: skip
    await actor.api(
        "PATCH",
        f"{pods}/{found[0]['metadata']['name']}/status",
        {"status": {"phase": "Running", "containerStatuses": [main]}},
        content_type="application/merge-patch+json",
    )
