"""Pods as several sources tell of them: watches of a phase, and lists of what is looked at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mcp_tui.domain.kube import Pod
from mcp_tui.domain.roots import claims_of
from mcp_tui.sources.kubernetes.known import older, version_of

_LISTED: Final = "listed"


class Pods:
    """Each pod once, as it was told last, found by what it claims to belong to.

    Methods that change something return the claims of the pods that changed.
    """

    def __init__(self) -> None:
        # By pod and source; the source that told the newest version last is the last key.
        self._copies: dict[str, dict[str, Pod]] = {}
        self._claims: dict[str, tuple[str, ...]] = {}
        self._claiming: dict[str, dict[str, None]] = {}
        self._lists: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._copies)

    def claims(self, uid: str) -> tuple[str, ...]:
        """What a pod claims, the surest first."""
        return self._claims.get(uid, ())

    def claiming(self, claim: str) -> list[Pod]:
        """The pods that claim to belong to something."""
        found = self._claiming.get(claim)
        return [self._newest(uid) for uid in found] if found else []

    def listed(self, root: str) -> list[Pod]:
        """What the last list for a root job held."""
        return [self._newest(uid) for uid in self._lists.get(root, ())]

    def _newest(self, uid: str) -> Pod:
        copies = self._copies[uid]
        return copies[next(reversed(copies))]

    def put(self, source: str, pod: Pod) -> set[str]:
        """Take a pod as a source tells it now."""
        uid = pod.metadata.uid
        copies = self._copies.setdefault(uid, {})
        was = self._newest(uid) if copies else None
        copies.pop(source, None)
        # An answer may have been under way while a watch told more.
        newer = []
        while copies and older(version_of(pod), version_of(self._newest(uid))):
            newer.append(copies.popitem())
        copies[source] = pod
        copies.update(reversed(newer))
        newest = self._newest(uid)
        if newest == was:
            return set()
        before, after = self._claims.get(uid, ()), claims_of(newest)
        if before != after:
            self._index(uid, before, after)
        return {*before, *after}

    def _index(self, uid: str, before: Iterable[str], after: tuple[str, ...]) -> None:
        for claim in before:
            held = self._claiming.get(claim)
            if held is not None:
                held.pop(uid, None)
                if not held:
                    del self._claiming[claim]
        for claim in after:
            self._claiming.setdefault(claim, {})[uid] = None
        if after:
            self._claims[uid] = after
        else:
            self._claims.pop(uid, None)

    def drop(self, source: str, uid: str) -> set[str]:
        """A watch of a phase has let a pod go: it is gone, or in another phase.

        Whatever another source told of it in that phase, or before, is no longer so.
        """
        copies = self._copies.get(uid, {})
        gone = copies.pop(source, None)
        if gone is None:
            return set()
        for other, copy in [*copies.items()]:
            if copy.status.phase == gone.status.phase or older(version_of(copy), version_of(gone)):
                del copies[other]
        return self._swept(uid)

    def _swept(self, uid: str) -> set[str]:
        claims = self._claims.get(uid, ())
        if not self._copies.get(uid):
            self._copies.pop(uid, None)
            self._index(uid, claims, ())
            for root in [r for r, uids in self._lists.items() if uid in uids]:
                self._lists[root].discard(uid)
        return set(claims)

    def set_list(self, root: str, pods: Iterable[Pod]) -> set[str]:
        """Take the whole list for a root job; what it held before and not now is gone."""
        fresh = {pod.metadata.uid: pod for pod in pods}
        before = self._lists.get(root, set())
        changed: set[str] = set()
        for uid in before - fresh.keys():
            if self._copies.get(uid, {}).pop(_LISTED, None) is not None:
                changed |= self._swept(uid)
        for pod in fresh.values():
            changed |= self.put(_LISTED, pod)
        if fresh:
            self._lists[root] = set(fresh)
        else:
            self._lists.pop(root, None)
        if before != set(fresh):
            changed.add(root)
        return changed
