"""An app whose keys are dealt with one after another, each where the one before put the focus."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from textual import events
from textual.app import App
from textual.message import Message

if TYPE_CHECKING:
    from textual.timer import Timer

KEY_LOST = 0.5
"""Seconds after which a key that nobody reported on counts as dealt with."""


class KeyDone(Message):
    """Follows a key on its way up: where this arrives, the key was dealt with."""


class KeysInOrder(App[int], inherit_bindings=False):
    """Delivers keys one at a time.

    Textual hands every key at once to what has the focus. A key that opens the prompt moves the
    focus only after several messages; what was typed behind it would be taken for commands.
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: deque[events.Key] = deque()
        self._key_under_way: Timer | None = None

    async def on_event(self, event: events.Event) -> None:
        """Put a key in line behind those that are not dealt with yet."""
        if not isinstance(event, events.Key) or event.is_forwarded or event.key == "ctrl+c":
            await super().on_event(event)
            return
        self._keys.append(event)
        if self._key_under_way is None:
            await self._deliver()

    async def _deliver(self) -> None:
        if not self._keys:
            return
        event = self._keys.popleft()
        # A widget that is taken away with its queue never tells: then the next key waits no longer.
        self._key_under_way = self.set_timer(KEY_LOST, self._key_dealt_with)
        target = self.focused or self.screen
        await super().on_event(event)
        target.post_message(KeyDone())

    def on_key_done(self, message: KeyDone) -> None:
        """The key before was dealt with; a change of focus that it asked for comes first."""
        message.stop()
        self.call_later(self._key_dealt_with)

    async def _key_dealt_with(self) -> None:
        if self._key_under_way is not None:
            self._key_under_way.stop()
            self._key_under_way = None
        await self._deliver()
