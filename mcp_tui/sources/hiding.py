"""Takes our own credentials out of what servers say.

A gateway's debug page repeats the headers that it was sent, and what a server says of an error is
shown, kept in the journal and logged.
"""

from __future__ import annotations

import base64
import contextlib
import html
import itertools
import json
from collections.abc import Callable, Collection, Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

Hide = Callable[[str], str]
"""Gives a text back without the credentials in it."""

SHORTEST: Final = 6
"""Characters of a secret; what is shorter stands in many words that are none."""

HIDDEN: Final = "***"
"""What is shown in the place of a secret."""

# Who keeps messages short cuts a secret in two: so much of its beginning is taken for it, where it
# is so long that the beginning is no word.
_BEGINNING: Final = 12
_LONG: Final = 16
# Tokens are renewed, and an answer may still be to a call with the one before.
_KEPT: Final = 16


def as_it_is(text: str) -> str:
    """Hides nothing: for the words of somebody who was sent nothing secret."""
    return text


class Secrets:
    """What a client sends and nobody is to read; none of it is in its repr."""

    def __init__(self) -> None:
        self._known: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Secrets()"

    def learn(self, *secrets: str) -> None:
        """Remember secrets; the newest few of them are known."""
        known = [each for each in self._known if each not in secrets]
        known += [each for each in secrets if len(each) >= SHORTEST]
        # As a whole: it is told from threads, while words are being looked through.
        self._known = tuple(dict.fromkeys(known))[-_KEPT:]

    def learn_pair(self, user: str, password: str) -> None:
        """Remember a password, and what it is together with its user in a header."""
        if password:
            pair = base64.b64encode(f"{user}:{password}".encode("utf-8", "replace"))
            self.learn(password, pair.decode())

    def learn_url(self, url: str) -> None:
        """Remember the password of a URL, such as a proxy's."""
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
            self.learn_pair(unquote(parts.username or ""), unquote(parts.password or ""))

    def hide(self, text: str) -> str:
        """A text without them; to be asked before it is cut, so that no half is left."""
        forms = {form for secret in self._known for form in _forms(secret)}
        for head in sorted({form[:_BEGINNING] for form in forms if len(form) >= _LONG}):
            text = _without(head, forms, text)
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, HIDDEN)
        return text


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, and as it is written where it may not stand as it is."""
    raw = secret.encode("utf-8", "replace")
    encoded = base64.b64encode(raw).decode()
    for form in (
        secret,
        secret.rstrip("="),
        encoded.rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        quote(raw, safe=""),
        quote_plus(raw),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ):
        if len(form) >= SHORTEST:
            yield form


def _without(head: str, forms: Collection[str], text: str) -> str:
    """A text without what begins so and is a secret as far as it goes."""
    kept: list[str] = []
    start = 0
    while (at := text.find(head, start)) >= 0:
        kept += text[start:at], HIDDEN
        start = at + max(_shared(form, text, at) for form in forms)
    return "".join((*kept, text[start:]))


def _shared(form: str, text: str, at: int) -> int:
    """How many of a form's characters stand at some place of a text."""
    if text.startswith(form, at):
        return len(form)
    pairs = zip(form, text[at : at + len(form)], strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
