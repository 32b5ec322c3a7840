"""The way of a model: the job, its run, the versions made from it, and what serves each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.lineage import JobLink, disagreement, guessed_job, is_dead, tagged_job
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.references import model_id_in, run_in
from mcp_tui.domain.run import Run
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.serving import Served, ServingStore, aliases_of

Covers = Callable[[str, str], bool]
"""Whether the jobs of a context and a namespace are all known: then one that is not there is gone.
"""


def nowhere(_context: str, _namespace: str) -> bool:
    """Of no place it is known that all was read."""
    return False


class VersionLink(msgspec.Struct, frozen=True, kw_only=True):
    """A version made from a run.

    Attributes:
        how: What says so, in words.
        aliases: Those that point to it.
        served: What serves it, exact statements first.
    """

    version: ModelVersion
    how: str
    aliases: tuple[str, ...] = ()
    served: tuple[Served, ...] = ()


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """All that belongs to one run.

    Attributes:
        job: None where none is known.
        note: Where run and job contradict each other, with the cause; empty where they do not.
        dead: The run says that it is under way, and its job has ended or is gone.
        served: What names the run or a model of it, though no version of the registry does.
    """

    run: Run
    job: JobLink | None = None
    note: str = ""
    dead: bool = False
    versions: tuple[VersionLink, ...] = ()
    served: tuple[Served, ...] = ()


def job_of(run: Run, stores: Mapping[str, JobStore], *, covers: Covers = nowhere) -> JobLink | None:
    """The job of a run: by the job's label or environment, by the run's tags, or a guess.

    Args:
        run: As MLflow tells of it.
        stores: The jobs that are known, by context.
        covers: See :data:`Covers`.
    """
    for store in stores.values():
        for view in store.jobs_of_run(run.run_id)[:1]:
            labelled = view.labels.get(keys.RUN_ID) == run.run_id
            how = "the job's label" if labelled else "the job's environment"
            return JobLink(key=view.key, how=how, view=view)
    tagged = tagged_job(run)
    if tagged is not None:
        # Everybody calls a context as he likes, but a uid is the same everywhere.
        views = [store.table.get(tagged.uid) for store in stores.values()] if tagged.uid else []
        there = next((each for each in views if each is not None), None)
        if there is not None:
            return JobLink(key=there.key, how="the run's tags", view=there)
        gone = tagged.context in stores and covers(tagged.context, tagged.namespace)
        return JobLink(key=tagged, how="the run's tags", gone=gone)
    views_of_all = (view for store in stores.values() for view in store.table.values())
    guess = guessed_job(run, views_of_all)
    if guess is None:
        return None
    return JobLink(key=guess.key, how="its commit and name", guess=True, view=guess)


def run_of(version: ModelVersion) -> str:
    """The id of the run that made a version: as it says, or as its source does; empty for none."""
    return version.run_id or run_in(version.source)[0]


def versions_of(run: Run, versions: Iterable[ModelVersion]) -> tuple[tuple[ModelVersion, str], ...]:
    """The versions among some that were made from a run, and what says so."""
    outputs = {link.model_id for link in run.outputs.model_outputs if link.model_id}
    found = []
    for version in versions:
        if version.run_id and version.run_id == run.run_id:
            how = "it names the run"
        elif not version.run_id and run_in(version.source)[0] == run.run_id != "":
            how = "its source is of the run"
        elif (version.model_id or model_id_in(version.source)) in outputs:
            how = "its logged model is of the run"
        else:
            continue
        found.append((version, how))
    return tuple(found)


def lineage(
    run: Run,
    *,
    now: float,
    jobs: Mapping[str, JobStore] | None = None,
    covers: Covers = nowhere,
    versions: Iterable[ModelVersion] = (),
    aliases: Mapping[str, Mapping[str, str]] | None = None,
    newest: Mapping[str, int] | None = None,
    servings: ServingStore | None = None,
    context: str = "",
) -> Lineage:
    """Join what is known of one run.

    Args:
        run: As MLflow tells of it.
        now: Epoch seconds.
        jobs: The jobs that are known, by context.
        covers: See :data:`Covers`.
        versions: Versions that may be of this run.
        aliases: By model: versions by alias.
        newest: By model: its highest version.
        servings: What serves.
        context: Whose MLflow the run is of.
    """
    job = job_of(run, jobs or {}, covers=covers)
    links: list[VersionLink] = []
    for version, how in versions_of(run, versions):
        of_model = (aliases or {}).get(version.name, {})
        held = aliases_of(version, of_model, (newest or {}).get(version.name, 0))
        served = servings.servings_of(version, aliases=held, context=context) if servings else ()
        named = tuple(sorted(a for a, n in of_model.items() if n == version.version))
        links.append(VersionLink(version=version, how=how, aliases=named, served=served))
    made = [link.model_id for link in run.outputs.model_outputs]
    shown = {each.serving.key for link in links for each in link.served}
    direct = servings.servings_of_run(run.run_id, made) if servings else ()
    return Lineage(
        run=run,
        job=job,
        note=disagreement(run, job, now=now),
        dead=is_dead(run, job),
        versions=tuple(links),
        served=tuple(each for each in direct if each.serving.key not in shown),
    )
