"""Runs looked at together, read through the contexts that are open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from mcp_tui.domain import evaltable
from mcp_tui.domain.evaluation import Evaluation
from mcp_tui.domain.gates import check
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UsageError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.mlflow.runs import is_run_id
from mcp_tui.store.candidates import Named, find, model_in, names_run, read
from mcp_tui.store.curves import CurveBook
from mcp_tui.tui.live.curves import LiveCurves
from mcp_tui.tui.model_curves import Compared, Evaluated

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend
    from mcp_tui.tui.live.context import Live
    from mcp_tui.tui.live.runs_model import LiveRuns

MOST: Final = 50
"""Runs that are looked at together."""

CHAMPION: Final = "champion"
_AT_ONCE: Final = 6


class LiveEvidence:
    """Implements :class:`mcp_tui.tui.model_curves.Evidence`."""

    def __init__(self, backend: LiveBackend) -> None:
        self._backend = backend

    # -- which runs -------------------------------------------------------------------------

    def _place(self, reference: str) -> tuple[Live, str]:
        """The context of a reference, and what it names there."""
        context, _, rest = reference.rpartition("/")
        live = self._backend.lives.get(context)
        if live is not None and names_run(rest):
            return live, rest
        return self._backend.only(), reference

    @staticmethod
    def _client(live: Live) -> MlflowClient:
        if live.connection.mlflow is None:
            raise UsageError(
                "no MLflow is configured or found", where=live.name, hint="doctor says more"
            )
        return live.connection.mlflow

    async def _found(
        self, references: Sequence[str], *, again: bool = True
    ) -> list[tuple[Live, Named]]:
        """The runs, in the order in which they are named; one that is named twice comes once.

        Args:
            references: The runs.
            again: Ask for those, too, that a list has read whole and that have ended.
        """
        if not 1 <= len(references) <= MOST:
            raise UsageError(f"{len(references)} runs; at most {MOST} can be looked at together")
        places = [self._place(reference) for reference in references]
        known = {} if again else self._kept(places)
        known |= await self._many([each for each in places if (each[0].name, each[1]) not in known])
        found: dict[tuple[str, str], tuple[Live, Named]] = {}
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(live: Live, text: str) -> Named:
            run = known.get((live.name, text))
            if run is not None:
                return Named(run, clean_line(run.name, limit=60) or run.run_id[:8])
            async with limit:
                return await find(self._client(live), text)

        named = await asyncio.gather(*(one(live, text) for live, text in places))
        for (live, _), each in zip(places, named, strict=True):
            found.setdefault((live.name, each.run.run_id), (live, each))
        return list(found.values())

    def _kept(self, places: Sequence[tuple[Live, str]]) -> dict[tuple[str, str], Run]:
        """What the list of runs has read of them and is not going to change."""
        found: dict[tuple[str, str], Run] = {}
        part = cast("LiveRuns | None", self._backend.parts.made("runs"))
        if part is None:
            return found
        for live, text in places:
            run = part.kept(live.name, text)
            if run is not None and run.is_over:
                found[live.name, text] = run
        return found

    async def _many(self, places: Sequence[tuple[Live, str]]) -> dict[tuple[str, str], Run]:
        """Runs that are named by their ids and are of one experiment, in a call or two."""
        found: dict[tuple[str, str], Run] = {}
        by_context: dict[str, list[str]] = {}
        for live, text in places:
            if is_run_id(text):
                by_context.setdefault(live.name, []).append(text)
        for name, ids in by_context.items():
            if len(ids) < 3:
                continue
            client = self._client(self._backend.lives[name])
            first = (await find(client, ids[0])).run
            runs = await client.newest(ids, [first.info.experiment_id])
            found |= {(name, run_id): run for run_id, run in {**runs, ids[0]: first}.items()}
        return found

    # -- what the screens ask ---------------------------------------------------------------

    async def curves(self, references: Sequence[str]) -> LiveCurves:
        """Their curves."""
        found = await self._found(references)
        runs: dict[str, list[Run]] = {}
        for live, named in found:
            runs.setdefault(live.name, []).append(named.run)
        lives = {live.name: live for live, _ in found}
        books = {name: CurveBook(self._client(lives[name]), each) for name, each in runs.items()}
        return LiveCurves(books, [(live.name, named.run.run_id) for live, named in found])

    async def compare(
        self, references: Sequence[str], baseline: str, *, again: bool = True
    ) -> Compared:
        """The runs to put side by side."""
        found = await self._found(references, again=again)
        base = (await self._found([baseline], again=again))[0] if baseline else None
        if base is not None and _key(base) not in map(_key, found):
            found = [base, *found]
        keys = tuple(f"{live.name}/{named.run.run_id}" for live, named in found)
        return Compared(
            keys=keys,
            runs=tuple(named.run for _, named in found),
            directions=self._backend.config.metrics,
            baseline=_key(base) if base is not None else "",
        )

    async def champion(self, references: Sequence[str]) -> str:
        """The reference of the one that the alias names of a model that any is a version of."""
        found = await self._found(references, again=False)
        champion = await self._champion(found, references)
        return champion if champion in {_key(each) for each in found} else ""

    async def evaluate(self, references: Sequence[str], champion: str) -> Evaluated:
        """Their evaluations, and the gates of the configuration."""
        found = await self._found(references)
        said = "named here"
        if not champion:
            champion = await self._champion(found, references)
            said = f"alias {CHAMPION}"
        live = found[0][0]
        best = next((each for each in found if _key(each) == champion), None)
        if best is None and champion:
            best = (await self._found([champion]))[0]
        candidates = [each for each in found if best is None or _key(each) != _key(best)]
        if not candidates:
            # Alone there is nothing to hold against it, and its gates are as good as another's.
            candidates, best, said = found, None, f"{said}, alone: mark others too"
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(each: tuple[Live, Named]) -> Evaluation:
            async with limit:
                return await read(self._client(each[0]), each[1])

        every = await asyncio.gather(*(one(each) for each in candidates))
        ruling = await one(best) if best is not None else None
        gates = live.settings.gates
        table = await asyncio.to_thread(
            evaltable.side_by_side,
            every,
            ruling,
            also=[gate.metric for gate in gates],
            directions=self._backend.config.metrics,
        )
        told = table.differences or ({},) * len(every)
        return Evaluated(
            table=table,
            gates=tuple(
                check(gates, candidate, ruling, told=each)
                for candidate, each in zip(every, told, strict=True)
            ),
            keys=tuple(map(_key, [*([best] if best is not None else []), *candidates])),
            champion=f"{(ruling or every[0]).label} ({said})" if champion else "",
        )

    async def _champion(
        self, found: Sequence[tuple[Live, Named]], references: Sequence[str]
    ) -> str:
        """What the alias names of a registered model that a run is a version of.

        A run may be a version of several: of a model that was named to name the run first, then
        one whose champion is another run than those looked at.
        """
        said = {model_in(self._place(each)[1]) for each in references}
        own = {_key(each) for each in found}
        champions: list[tuple[bool, bool, str]] = []
        places: dict[str, dict[str, int]] = {}
        for at, (live, named) in enumerate(found):
            places.setdefault(live.name, {})[named.run.run_id] = at
        for context, place in places.items():
            live = self._backend.lives[context]
            client = self._client(live)
            try:
                versions = sorted(
                    await client.versions_of_runs(place), key=lambda v: place[v.run_id]
                )
                for name in dict.fromkeys(version.name for version in versions):
                    model = await client.get_model(name)
                    number = model.alias.get(CHAMPION, "") if model is not None else ""
                    version = await client.get_version(name, number) if number else None
                    if version is not None and is_run_id(version.run_id):
                        key = f"{live.name}/{version.run_id}"
                        champions.append((name not in said, key in own, key))
            except ApiError:
                continue  # A server without a registry still has runs.
        return min(champions, key=lambda each: each[:2], default=(False, False, ""))[2]


def _key(each: tuple[Live, Named]) -> str:
    return f"{each[0].name}/{each[1].run.run_id}"
