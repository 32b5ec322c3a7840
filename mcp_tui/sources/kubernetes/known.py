"""What a reflector has told its sink, and the difference that an answer makes to it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Delta(msgspec.Struct, Generic[T], frozen=True):
    """What changed.

    Attributes:
        upserts: New or newer objects.
        removes: The uids of objects that are gone; none of them is among the upserts.
        replace: The upserts are all there is; only for a first list that fits in one page.
        synced: From here on the state is complete; true once, with the end of the first list.
    """

    upserts: tuple[T, ...] = ()
    removes: tuple[str, ...] = ()
    replace: bool = False
    synced: bool = False


class Known:
    """The resourceVersion of each object by uid, and the uid of each name.

    A name holds one object at a time, so a new uid under a known name means that the old one is
    gone, even if nobody said so.
    """

    def __init__(self) -> None:
        self._versions: dict[str, str] = {}
        self._name_of: dict[str, tuple[str, str]] = {}
        self._names: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return len(self._versions)

    def versions(self) -> dict[str, str]:
        """The resourceVersions by uid."""
        return dict(self._versions)

    def holds(self, uid: str, version: str) -> bool:
        """Whether this very version of an object is known."""
        return bool(version) and self._versions.get(uid) == version

    def renew(self, uid: str, version: str) -> str | None:
        """Note another version of an object; the one before, or None of one that is not known."""
        before = self._versions.get(uid)
        if before is not None:
            self._versions[uid] = version
        return before

    def remember(self, uid: str, item: Any) -> tuple[bool, str]:
        """Note an object.

        Returns:
            Whether it was known, and the uid that its name belonged to before, if another's.
        """
        meta = item.metadata
        known = uid in self._versions
        self._versions[uid] = meta.resource_version
        if known:  # its name is for life
            return True, ""
        name = (meta.namespace, meta.name)
        self._name_of[uid] = name
        before = self._names.get(name, "")
        self._names[name] = uid
        if before and self._versions.pop(before, None) is not None:
            del self._name_of[before]
            return False, before
        return False, ""

    def forget(self, uid: str) -> None:
        """Drop an object."""
        self._versions.pop(uid, None)
        name = self._name_of.pop(uid, None)
        if name is not None and self._names.get(name) == uid:
            del self._names[name]

    def __contains__(self, uid: object) -> bool:
        return uid in self._versions

    def unseen(self, seen: set[str]) -> list[str]:
        """The uids of all objects but those seen."""
        return [uid for uid in self._versions if uid not in seen]


class Batch(Generic[T]):
    """Changes of one moment, at most one for each object: the newest.

    An object that came and went within the batch is not in it.

    Attributes:
        beyond: Whether a page held more objects than may be kept.
    """

    def __init__(self, known: Known) -> None:
        self.beyond = False
        self._known = known
        self._upserts: dict[str, T] = {}
        self._removes: dict[str, None] = {}
        self._new: set[str] = set()

    def upsert(self, uid: str, item: T, version: str) -> None:
        """An object of a version; nothing is said of one that was told already."""
        before = self._known.renew(uid, version)
        if before is None:
            self.put(uid, item)
        elif before != version or not version:
            self._upserts[uid] = item

    def put(self, uid: str, item: T) -> None:
        """An object is new or newer, whatever was told of it before."""
        was_known, replaced = self._known.remember(uid, item)
        if not was_known:
            if uid in self._removes:
                del self._removes[uid]
            else:
                self._new.add(uid)
            if replaced:
                self._drop(replaced)
        self._upserts[uid] = item

    def page(self, items: list[T], seen: set[str], *, most: int | None, trust: bool) -> int:
        """A page of a list.

        Args:
            items: Its objects.
            seen: The uids of the list so far; filled.
            most: How many objects are taken at most; None for all.
            trust: Whether a version that is known stands for what it stood for.

        Returns:
            How many objects were left out because they have neither uid nor name.
        """
        nameless = 0
        for item in items:
            uid = uid_of(item)
            if not uid:
                nameless += 1
                continue
            if most is not None and len(seen) >= most and uid not in seen:
                self.beyond = True
                break
            seen.add(uid)
            if not (trust and self._known.holds(uid, version_of(item))):
                self.put(uid, item)
        return nameless

    def remove(self, uid: str) -> None:
        """An object is gone; nothing is said of one that was never told."""
        if uid in self._known:
            self._known.forget(uid)
            self._drop(uid)

    def _drop(self, uid: str) -> None:
        self._upserts.pop(uid, None)
        if uid in self._new:
            self._new.discard(uid)
        else:
            self._removes[uid] = None

    def delta(self, *, replace: bool = False, synced: bool = False) -> Delta[T] | None:
        """The changes, or None when there is nothing to tell."""
        if not (self._upserts or self._removes or synced):
            return None
        return Delta(tuple(self._upserts.values()), tuple(self._removes), replace, synced)


def uid_of(item: Any) -> str:
    """An object's uid; its name where a server gives none; empty when it has neither."""
    meta = item.metadata
    uid: str = meta.uid or (f"{meta.namespace}/{meta.name}" if meta.name else "")
    return uid


def version_of(item: Any) -> str:
    """An object's resourceVersion."""
    version: str = item.metadata.resource_version
    return version


def older(version: str, than: str) -> bool:
    """Whether a version of a kind was written before another.

    Servers count them in the order of the writes. Of what is no such number, nothing is said.
    """
    if len(version) == len(than) and version >= than:  # most are: numbers need not be read
        return False
    return _counts(version) and _counts(than) and int(version) < int(than)


def _counts(version: str) -> bool:
    return version.isdecimal() and len(version) <= 20
