"""Whether the terminal's locale shows more than ASCII: what signs and charts are made of."""

from __future__ import annotations

import locale
import os
import sys
from typing import Final

_IN_PLACE: Final = ("C.UTF-8", "C.utf8", "UTF-8")


def utf8_locale() -> bool:
    """Whether the locale can show more than ASCII."""
    # Not the preferred encoding: in the C locale Python prefers UTF-8, and the terminal does not.
    return not _put_in_place() and locale.getencoding().lower().replace("-", "") == "utf8"


def _put_in_place() -> bool:
    """Whether it was Python that chose UTF-8, in place of the C locale that it was started in.

    Unless LC_ALL is set, it then has another LC_CTYPE (PEP 538), and is in its UTF-8 mode.
    """
    if os.environ.get("LC_ALL") or os.environ.get("PYTHONUTF8"):
        return False
    return bool(sys.flags.utf8_mode) and os.environ.get("LC_CTYPE") in _IN_PLACE
