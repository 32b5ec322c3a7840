"""What serves each model version now, of several contexts, as far as objects name it.

Objects that name no model are not kept. What another object made (KServe's Deployment of an
InferenceService) counts as part of that one; a Rollout takes over what its workload's pods say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, Protocol

import msgspec

from mcp_tui.domain.kube_serving import AnyServer
from mcp_tui.domain.references import (
    LATEST,
    How,
    Reference,
    location_of,
    model_id_in,
    run_in,
    slug,
)
from mcp_tui.domain.serving import Serving, ServingState, serving_of
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store.table import NO_CHANGE, Change, Table

_ORDER: Final = {state: number for number, state in enumerate(ServingState)}
# Folders of an address that a version's source may be.
_DEEPEST: Final = 16


class VersionLike(Protocol):
    """What is asked of a version: the registry's own, or a row of it."""

    @property
    def name(self) -> str:
        """The registered model's."""

    @property
    def version(self) -> str:
        """Its number."""

    @property
    def number(self) -> int:
        """The same as a number."""

    @property
    def run_id(self) -> str:
        """The run that made it; may be empty."""

    @property
    def source(self) -> str:
        """Where its files are."""

    @property
    def model_id(self) -> str | None:
        """The logged model behind it; may be empty."""


class Served(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One object that serves a version, or may.

    Attributes:
        reference: Which of its statements says so.
        follows: The alias by which it names the version. It was resolved when its pods started, so
            that after a move of the alias the old version may still be what answers.
        guess: Nothing says so exactly.
    """

    serving: Serving
    reference: Reference
    follows: str = ""
    guess: bool = False

    @property
    def mark(self) -> str:
        """``?`` for a guess, ``@alias`` for what follows one; empty for an exact statement."""
        return "?" if self.guess else f"@{self.follows}" if self.follows else ""

    def short(self) -> str:
        """``Deployment/ranker 3/3``, with a mark where it is less than exact: for a line."""
        return f"{self.serving.kind}/{self.brief()}"

    def brief(self) -> str:
        """``ranker 3/3``, with a mark where it is less than exact: for a narrow cell."""
        each = self.serving
        said = "" if each.state is ServingState.SERVING else each.state.value
        count = said if each.state is ServingState.OFF else each.replicas or said
        return " ".join(filter(None, (each.name, count, self.mark)))

    def words(self) -> str:
        """How it names the version: for a line of details."""
        said = self.reference.words()
        if self.guess:
            said = f"perhaps, by its {said}"
        if self.follows:
            said += f" (follows the alias {self.follows}: read when its pods started)"
        note = self.serving.note
        return f"{said}; {note}" if note else said


class ServingStore:
    """Servers by context and uid, and an index from what they name.

    Attributes:
        table: What serves; changed by :meth:`flush` only.
    """

    def __init__(self) -> None:
        self.table: Table[Serving] = Table()
        self._all: dict[str, Serving] = {}
        self._registries: dict[str, str] = {}
        self._dirty = False
        self._named: dict[tuple[str, str], list[tuple[Serving, Reference]]] = {}

    # -- what the sources say ---------------------------------------------------------------

    def apply(self, context: str, delta: Delta[AnyServer]) -> None:
        """Take changes of one kind of one context."""
        for obj in delta.upserts:
            made = serving_of(obj, context=context)
            before = self._all.get(made.key)
            if made.references or made.through or made.part_of:
                self._all[made.key] = made
                self._dirty |= made != before
            elif before is not None:
                del self._all[made.key]
                self._dirty = True
        for uid in delta.removes:
            self._dirty |= self._all.pop(f"{context}/{uid}", None) is not None

    def belongs(self, context: str, registry: str) -> None:
        """Say which registry the names in a context's objects are of: a URL, or what is like it.

        Names of models mean nothing in another registry. Where it is not said, any is taken.
        """
        if registry:
            self._registries[context] = registry

    def forget(self, context: str) -> None:
        """Drop a context: nobody looks at it any more."""
        gone = [key for key, each in self._all.items() if each.context == context]
        for key in gone:
            del self._all[key]
        self._dirty |= bool(gone)
        self._registries.pop(context, None)

    @property
    def dirty(self) -> bool:
        """Whether a flush has anything to do."""
        return self._dirty

    def flush(self) -> Change:
        """Join anew what was said since the last time."""
        if not self._dirty:
            return NO_CHANGE
        self._dirty = False
        shown = {each.key: each for each in self._joined()}
        change = self.table.apply(shown, [key for key in self.table if key not in shown])
        self._named = {}
        for each in shown.values():
            for reference in each.references:
                for name in _names(reference):
                    self._named.setdefault(name, []).append((each, reference))
        return change

    def _joined(self) -> Iterator[Serving]:
        """Every object of its own that names a model, with what its parts add."""
        by_name = {(s.context, s.kind, s.namespace, s.name): s for s in self._all.values()}
        parts: dict[str, list[Serving]] = {}
        own: list[Serving] = []
        for each in self._all.values():
            whole = self._all.get(f"{each.context}/{each.owner}") if each.owner else None
            if whole is None and each.part_of:
                above = (each.context, "InferenceService", each.namespace, each.part_of)
                whole = by_name.get(above)
            if whole is not None and whole is not each:
                parts.setdefault(whole.key, []).append(each)
            else:
                own.append(each)
        for each in own:
            if each.through:
                kind, _, name = each.through.partition("/")
                pods = by_name.get((each.context, kind, each.namespace, name))
                if pods is not None:
                    held = (*each.references, *pods.references)
                    each = msgspec.structs.replace(each, references=tuple(dict.fromkeys(held)))
            if each.references:
                yield _with_parts(each, parts.get(each.key, ()))

    # -- what is known ----------------------------------------------------------------------

    def servings_of(
        self, version: VersionLike, *, aliases: Collection[str] = (), context: str = ""
    ) -> tuple[Served, ...]:
        """What serves a version, exact statements first.

        Args:
            version: As the registry tells of it.
            aliases: Those that point to it now; :data:`~mcp_tui.domain.references.LATEST` among
                them for the newest version.
            context: Whose registry it is of; empty where there is only one.
        """
        exact = ((version.name, version.version), *((version.name, f"@{a}") for a in aliases))
        found: list[Served] = []
        for name, said in exact:
            for serving, ref in self._named.get((f"model {said}", name), ()):
                if self._same_registry(context, serving.context):
                    follows = ref.alias
                    found.append(_served(serving, ref, follows=follows, guess=ref.guess))
        loose = (f"slug {version.version}", slug(version.name))
        for serving, ref in self._named.get(loose, ()):
            if self._same_registry(context, serving.context):
                found.append(_served(serving, ref, guess=True))
        found += self._by_id(version)
        return _best(found)

    def _by_id(self, version: VersionLike) -> Iterator[Served]:
        """By ids and places, which are the same whatever registry names them."""
        run, path = run_in(version.source)
        for run_id in {version.run_id, run} - {""}:
            for serving, ref in self._named.get(("run", run_id), ()):
                # A run may have made several models.
                if not (run == run_id and path and ref.path) or _along(path, ref.path):
                    yield _served(serving, ref, guess=ref.guess)
        model_id = version.model_id or model_id_in(version.source)
        for serving, ref in self._named.get(("logged", model_id), ()) if model_id else ():
            yield _served(serving, ref, guess=ref.guess)
        place = location_of(version.source)
        for serving, ref in self._named.get(("place", place), ()) if place else ():
            yield _served(serving, ref, guess=ref.guess)

    def servings_of_run(self, run_id: str, model_ids: Iterable[str] = ()) -> tuple[Served, ...]:
        """What names a run, or a logged model that it made, without asking the registry."""
        found = [
            _served(serving, ref, guess=ref.guess)
            for name in (("run", run_id), *(("logged", each) for each in model_ids))
            for serving, ref in self._named.get(name, ())
        ]
        return _best(found)

    def naming(self, model: str, *, context: str = "") -> tuple[Served, ...]:
        """What names a registered model, whatever version of it, or none."""
        found = [
            _served(serving, ref, follows=ref.alias, guess=ref.guess)
            for serving, ref in self._named.get(("named", model), ())
            if self._same_registry(context, serving.context)
        ]
        return _best(found)

    def _same_registry(self, one: str, other: str) -> bool:
        if not one or one == other:
            return True
        known = (self._registries.get(one), self._registries.get(other))
        return None in known or known[0] == known[1]


def _names(ref: Reference) -> Iterator[tuple[str, str]]:
    """What a statement is found by."""
    if ref.model:
        yield "named", ref.model
        if ref.version:
            yield f"model {ref.version}", ref.model
            if ref.how in (How.IMAGE, How.LABEL):
                yield f"slug {ref.version}", slug(ref.model)
        elif ref.alias:
            yield f"model @{ref.alias}", ref.model
    if ref.run_id:
        yield "run", ref.run_id
    if ref.model_id:
        yield "logged", ref.model_id
    place = ref.location
    for _ in range(_DEEPEST):
        if "/" not in place.partition("://")[2]:
            break
        yield "place", place
        place = place.rpartition("/")[0]


def _along(one: str, other: str) -> bool:
    """Whether a path is the other, or lies below it."""
    first, second = one.strip("/").split("/"), other.strip("/").split("/")
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]


def _served(serving: Serving, ref: Reference, *, follows: str = "", guess: bool) -> Served:
    return Served(serving=serving, reference=ref, follows=follows, guess=guess)


def _best(found: Iterable[Served]) -> tuple[Served, ...]:
    """Each object once, by its best statement; a guess only where it states nothing."""
    best: dict[str, Served] = {}
    for each in found:
        if each.guess and any(r.names_one and not r.guess for r in each.serving.references):
            continue
        before = best.get(each.serving.key)
        if before is None or _rank(each) < _rank(before):
            best[each.serving.key] = each
    return tuple(sorted(best.values(), key=_place))


def _rank(each: Served) -> tuple[bool, bool]:
    return each.guess, bool(each.follows)


def _place(each: Served) -> tuple[object, ...]:
    serving = each.serving
    return (each.guess, _ORDER[serving.state], serving.context, serving.namespace, serving.label)


def _with_parts(whole: Serving, parts: Iterable[Serving]) -> Serving:
    """The replicas of what it made, where it counts none itself."""
    counted = [part for part in parts if part.desired is not None]
    if not counted or whole.desired is not None:
        return whole
    return msgspec.structs.replace(
        whole,
        ready=sum(part.ready or 0 for part in counted),
        desired=sum(part.desired or 0 for part in counted),
    )


def aliases_of(version: VersionLike, aliases: Mapping[str, str], newest: int) -> tuple[str, ...]:
    """The aliases that point to a version, ``latest`` among them where it is the newest.

    Args:
        version: One version.
        aliases: Of its model: versions by alias.
        newest: The highest version of its model.
    """
    found = tuple(sorted(a for a, number in aliases.items() if number == version.version))
    return (*found, LATEST) if version.number == newest else found
