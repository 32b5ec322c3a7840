"""What is kept in files or printed as data, of text that was cleaned nowhere before."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from unittest import mock

import yaml
from hypothesis import given

from mcp_tui.cli import main, parser
from mcp_tui.cli.output import Printer
from mcp_tui.errors import UsageError
from mcp_tui.tui import defects
from tests.hostile.stream import plain_faults
from tests.hostile.texts import ATTACKS, hostile, whole


@given(text=hostile)
def test_json_and_yaml_are_safe_to_see_and_are_read_back_as_they_were(text: str) -> None:
    text = whole(text)
    for fmt in ("json", "yaml"):
        for many in (False, True):
            out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
            printer = Printer(out=out, err=out, color=False)
            if many:
                printer.documents([{text: text}], fmt)
            else:
                printer.data([{text: text}], fmt)
            out.seek(0)
            said = out.read()
            assert not plain_faults(said), fmt
            back = json.loads(said) if fmt == "json" else yaml.safe_load(said)
            assert back == [{text: text}], fmt


def test_the_file_about_a_defect_is_safe_to_see(tmp_path: Path) -> None:
    for text in ATTACKS:
        try:
            raise RuntimeError(text)
        except RuntimeError as error:
            kept = defects.keep(error, str(tmp_path))
        assert not plain_faults(Path(kept).read_text("utf-8"), keep="\n\t")


def test_the_log_of_a_crash_is_safe_to_see(tmp_path: Path) -> None:
    def fails(_argv: object) -> None:
        raise RuntimeError("".join(ATTACKS))

    with (
        mock.patch.dict(os.environ, {"XDG_STATE_HOME": str(tmp_path)}),
        mock.patch.object(parser, "parse", fails),
    ):
        assert main(["contexts"]) == 70
    text = (tmp_path / "mcp-tui" / "crash.log").read_text("utf-8")
    assert "RuntimeError" in text and not plain_faults(text, keep="\n\t")


def test_an_unknown_argument_is_safe_to_see() -> None:
    for text in filter(None, ATTACKS):
        for argv in (["job", "show", "a", "-o", text], [text], ["job", text], ["--", text]):
            try:
                parser.parse(argv)
            except UsageError as error:
                assert not plain_faults(error.line(), keep="")
            except SystemExit:
                continue
