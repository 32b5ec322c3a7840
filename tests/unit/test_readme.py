"""The README tells the truth: its keys, its commands, its pictures, its configuration."""

from __future__ import annotations

import re
from pathlib import Path

from mcp_tui.cli.parser import build
from mcp_tui.config import load
from mcp_tui.domain.gaterules import parse_file
from mcp_tui.tui.keymap import markdown_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_keys_are_those_of_the_registry() -> None:
    told = README.split("<!-- keys -->\n")[1].split("\n<!-- /keys -->")[0]
    assert told.splitlines() == list(markdown_table())


def test_pictures_exist() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file(), picture


def test_the_configuration_shown_is_accepted(tmp_path: Path) -> None:
    gates, example = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "config.toml"
    path.write_text(example)
    config = load(path, {})
    assert set(config.contexts) == {"prod", "dev"}
    assert [gate.rule for gate in config.for_context("dev").gates] == ["f1_macro >= 0.90"]
    assert len(config.for_context("prod").gates) == 2
    assert set(config.approvals) == {"dev", "test", "prod"}
    assert len(parse_file(gates, "gates.toml")) == 7


def test_every_command_is_told() -> None:
    parser = build()
    [commands] = [a for a in parser._actions if a.dest == "==SUPPRESS==" and a.choices]
    for name, sub in dict(commands.choices or {}).items():
        assert f"mcp-tui {name}" in README or f"`{name}`" in README, name
        for action in sub._actions:
            if action.choices and name in ("job", "model", "run"):
                for verb in action.choices:
                    assert re.search(rf"{name} [a-z\\|]*\b{verb}\b", README), verb


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
