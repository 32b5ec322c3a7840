"""Which objects live, by UID, and who depends on whom."""

from __future__ import annotations

from mcp_tui.demo.plane.model import Kind
from mcp_tui.demo.plane.store import Entry, Event, Key, Store


class Owners:
    """Follows the store's changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._live: dict[str, tuple[Kind, Key]] = {}
        self._dependents: dict[str, dict[tuple[Kind, Key], None]] = {}

    def observe(self, event: Event) -> None:
        """Takes a change in."""
        new, place = event.new, (event.new.kind, event.new.key)
        if event.old is not None:
            for uid in event.old.owners:
                found = self._dependents.get(uid)
                if found is not None:
                    found.pop(place, None)
                    if not found:
                        del self._dependents[uid]
        if event.type == "DELETED":
            self._live.pop(new.uid, None)
            return
        self._live[new.uid] = place
        for uid in new.owners:
            self._dependents.setdefault(uid, {})[place] = None

    def live(self, uid: str) -> Entry | None:
        """The object with that UID, or None."""
        place = self._live.get(uid)
        return None if place is None else self._store.get(place[0], *place[1])

    def dependents(self, uid: str) -> list[Entry]:
        """Whatever names ``uid`` as an owner."""
        places = self._dependents.get(uid, ())
        found = (self._store.get(kind, *key) for kind, key in places)
        return [entry for entry in found if entry is not None]
