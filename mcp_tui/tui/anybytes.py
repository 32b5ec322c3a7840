"""Terminal input that is not UTF-8: shown as replacement characters instead of ending the app."""

from __future__ import annotations

import codecs
from functools import partial


def decoder(encoding: str) -> partial[codecs.IncrementalDecoder]:
    """A maker of decoders that replace what they cannot read."""
    return partial(codecs.getincrementaldecoder(encoding), errors="replace")


def accept() -> None:
    """Have Textual's driver read input with :func:`decoder`.

    Its own decoder is strict: a pasted binary, or a key of another character set, raises in the
    thread that reads the keyboard, and that is the end of the app.
    """
    from textual.drivers import linux_driver

    # A name of the driver's module, which it looks up each time that it starts to read.
    setattr(linux_driver, "getincrementaldecoder", decoder)  # noqa: B010 - not an exported name


__all__ = ["accept", "decoder"]
