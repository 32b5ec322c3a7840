"""Colour schemes and signs. A state is a sign, a word and a colour: any two may be lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.style import Style
from textual.theme import Theme


@dataclass(frozen=True)
class Signs:
    """Signs of one cell each in every terminal, East Asian settings included."""

    failed: str
    attention: str
    waiting: str
    running: str
    done: str
    bar: str
    corners: str
    dash: str
    pipe: str

    def state(self, state: str) -> str:
        """The sign of a state; a blank for one that is unknown."""
        return str(getattr(self, STATE_TONES.get(state, ""), " "))


UNICODE_SIGNS = Signs("\u2717", "!", "~", ">", "\u2713", "|", "┌┐└┘", "─", "│")
ASCII_SIGNS = Signs("X", "!", "~", ">", ".", "|", "++++", "-", "|")

STATE_TONES: Mapping[str, str] = {
    "failed": "failed",
    "stalled": "attention",
    "attention": "attention",
    "waiting": "waiting",
    "suspended": "waiting",
    "running": "running",
    "done": "done",
}
"""The tone of a state, which is also the name of its sign."""

TONES = ("failed", "attention", "waiting", "running", "done", "strong", "dim", "accent")
ROLES = (
    *TONES, "", "heading", "cursor", "keys", "key", "error", "match", "prompt", "tab",
    "axis", "grid", "fill", "over",
)  # fmt: skip
TIERS = ("prod", "test", "dev")


@dataclass(frozen=True)
class Palette:
    """A colour scheme: a style for every tone and role, one bar per tier, and a Textual theme.

    ``series`` are the colours of a chart's lines, in their order; ``faint`` those of what they were
    smoothed from. More lines than colours are told apart by signs, and so are two without colour.
    """

    name: str
    styles: Mapping[str, Style]
    theme: Theme
    series: tuple[Style, ...] = ()
    faint: tuple[Style, ...] = ()

    def __getitem__(self, role: str) -> Style:
        return self.styles.get(role) or Style.null()


def _styles(spec: Mapping[str, str]) -> dict[str, Style]:
    return {role: Style.parse(text) for role, text in spec.items()}


def _lines(*colours: str, faint: Sequence[str] = ()) -> dict[str, tuple[Style, ...]]:
    """The styles of a chart's lines; faint ones are mixed with the default background."""
    mixed = faint or [_mixed(colour, "#101418", 0.5) for colour in colours]
    return {
        "series": tuple(Style.parse(colour) for colour in colours),
        "faint": tuple(Style.parse(colour) for colour in mixed),
    }


def _mixed(one: str, other: str, share: float) -> str:
    pairs = ((int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a * (1 - share) + b * share):02x}" for a, b in pairs)


def _theme(name: str, *, ansi: bool, **colours: str) -> Theme:
    # Textual's own style sheets need these two where a theme speaks the terminal's colours.
    variables = {"ansi-background": "ansi_default", "ansi-foreground": "ansi_default"}
    return Theme(
        name=name,
        ansi=ansi,
        variables=variables if ansi else {},
        **colours,  # type: ignore[arg-type]  # colours are str
    )


_ANSI = {
    "primary": "ansi_blue",
    "secondary": "ansi_cyan",
    "warning": "ansi_yellow",
    "error": "ansi_red",
    "success": "ansi_green",
    "accent": "ansi_bright_blue",
    "foreground": "ansi_default",
    "background": "ansi_default",
    "surface": "ansi_default",
    "panel": "ansi_default",
}

DEFAULT = Palette(
    "default",
    _styles(
        {
            "failed": "bold #ff6b6b",
            "attention": "bold #ffb454",
            "waiting": "#d7c979",
            "running": "#7cc4ff",
            "done": "#86c98a",
            "strong": "bold",
            "dim": "#8a929c",
            "accent": "#9fb8d8",
            # A background of its own: light text must not land on a light terminal.
            "": "#d4d8dd on #101418",
            "heading": "bold #9aa4b0",
            "cursor": "bold #ffffff on #2f4a6d",
            "axis": "#56616d",
            "grid": "#252d36",
            "fill": "#4a7fb5",
            "over": "bold #ffffff on #4a7fb5",
            "keys": "#9aa4b0",
            "key": "bold #d4d8dd",
            "error": "bold #ff6b6b",
            "match": "#101418 on #ffd866",
            "prompt": "#ffffff",
            "tab": "bold #ffffff on #2f4a6d",
            "bar-prod": "bold #ffffff on #a3142a",
            "bar-test": "bold #14181d on #d2a13a",
            "bar-dev": "bold #e6ebf0 on #2b4f41",
        }
    ),
    _theme(
        "mcp-default",
        ansi=False,
        primary="#2f4a6d",
        foreground="#d4d8dd",
        background="#101418",
        surface="#161b21",
        panel="#161b21",
        error="#ff6b6b",
        warning="#ffb454",
        success="#86c98a",
    ),
    **_lines(
        "#6cb6ff",
        "#ffb454",
        "#7fd08a",
        "#f08fc8",
        "#e6df72",
        "#b69cff",
        "#4fd3cb",
        "#ff8d76",
    ),
)

# Blue is hard to read on black, and red means that something failed: they come last.
_ANSI_LINES = ("cyan", "yellow", "green", "magenta", "blue", "red")

ANSI16 = Palette(
    "ansi16",
    _styles(
        {
            "failed": "bold red",
            "attention": "bold yellow",
            "waiting": "yellow",
            "running": "cyan",
            "done": "green",
            "strong": "bold",
            "dim": "bright_black",
            "accent": "cyan",
            "heading": "bold",
            "cursor": "reverse",
            "axis": "bright_black",
            "fill": "cyan",
            "over": "black on cyan",
            "key": "bold",
            "error": "bold red",
            "match": "black on yellow",
            "tab": "reverse",
            "bar-prod": "bold bright_white on red",
            "bar-test": "black on yellow",
            "bar-dev": "black on green",
        }
    ),
    _theme("mcp-ansi16", ansi=True, **_ANSI),
    **_lines(
        *(f"bright_{colour}" for colour in _ANSI_LINES),
        faint=[f"dim {colour}" for colour in _ANSI_LINES],
    ),
)

# Hues from the set of Okabe and Ito, told apart under the common colour vision deficiencies:
# vermilion, orange, yellow, sky blue and bluish green differ in lightness as well.
COLOURBLIND = Palette(
    "colourblind",
    {
        **DEFAULT.styles,
        **_styles(
            {
                "failed": "bold #ff8240",
                "attention": "bold #f0e442",
                "waiting": "#e69f00",
                "running": "#56b4e9",
                "done": "#b8c0c8",
                "error": "bold #ff8240",
                "bar-prod": "bold #000000 on #e8742a",
                "bar-test": "bold #000000 on #f0e442",
                "bar-dev": "bold #ffffff on #00507f",
            }
        ),
    },
    _theme(
        "mcp-colourblind",
        ansi=False,
        primary="#00507f",
        foreground="#d4d8dd",
        background="#101418",
        surface="#161b21",
        panel="#161b21",
        error="#ff8240",
        warning="#e69f00",
        success="#56b4e9",
    ),
    **_lines("#56b4e9", "#e69f00", "#22b585", "#f0e442", "#dd8fb9", "#f2722b", "#e8ecf0"),
)

NONE = Palette(
    "none",
    _styles(
        {
            "failed": "bold",
            "attention": "bold",
            "strong": "bold",
            "dim": "dim",
            "heading": "underline",
            "cursor": "reverse",
            "over": "reverse",
            "key": "bold",
            "error": "bold",
            "match": "reverse",
            "tab": "reverse",
            "bar-prod": "reverse bold",
            "bar-test": "reverse",
            "bar-dev": "underline",
        }
    ),
    _theme("mcp-none", ansi=True, **dict.fromkeys(_ANSI, "ansi_default")),
    **_lines("none", faint=["dim"]),
)

PALETTES: Mapping[str, Palette] = {p.name: p for p in (DEFAULT, ANSI16, COLOURBLIND, NONE)}

TIER_WORDS: Mapping[str, str] = {"prod": "PRODUCTION", "test": "TEST", "dev": "DEV"}
