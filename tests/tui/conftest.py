"""Snapshots live in the top-level folder that the README shows."""

from __future__ import annotations

from pathlib import Path

import pytest_textual_snapshot
from syrupy.location import PyTestLocation

SNAPSHOTS = Path(__file__).resolve().parents[2] / "snapshots"


class TopLevelSvg(pytest_textual_snapshot.SVGImageExtension):
    """One SVG a picture, in ``snapshots/`` and named after what it shows."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        del test_location
        return str(SNAPSHOTS)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: object = 0) -> str:
        name = super().get_snapshot_name(test_location=test_location, index=index)
        return name.removeprefix("test_picture").strip("[]_").replace("[", "-").replace("]", "")


pytest_textual_snapshot.SVGImageExtension = TopLevelSvg
