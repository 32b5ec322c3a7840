"""What a text of a cluster's object says about a model: its version, alias, run or files.

A statement is exact where it can mean nothing else: MLflow's own addresses, ids of 32 hexadecimal
digits, and the labels and annotations that are there to say it. Everything else is a guess and is
marked as one. Addresses lose what may be a secret: user, password and query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from mcp_tui.domain.text import clean_line, one_line


class How(StrEnum):
    """Where in an object it stands; the value is the word shown."""

    STORAGE = "storage URI"
    ANNOTATION = "annotation"
    LABEL = "label"
    ENVIRONMENT = "variable"
    ARGUMENT = "argument"
    IMAGE = "image"


class Reference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One statement. At least one of model, run, logged model and location is set.

    Attributes:
        how: Where it stands.
        at: Its name there: the label's key, the variable; empty where there is only one.
        text: What it says, for showing.
        model: A registered model's name; alone, it does not say which version.
        version: Of that model.
        alias: Of that model: what it pointed to when the server started, which nobody kept.
        run_id: The run that made the model.
        path: Where in the run's artifacts; empty where it does not say.
        model_id: A logged model of MLflow 3.
        location: Where the files are kept, to be compared with a version's source.
        guess: It may mean something else.
    """

    how: How
    at: str = ""
    text: str = ""
    model: str = ""
    version: str = ""
    alias: str = ""
    run_id: str = ""
    path: str = ""
    model_id: str = ""
    location: str = ""
    guess: bool = False

    @property
    def names_one(self) -> bool:
        """Whether it says by name or id which model is meant, and which of its versions."""
        known = self.version or self.alias
        return bool((self.model and known) or self.run_id or self.model_id)

    def words(self) -> str:
        """``annotation mcp-tui.io/model-version: 7``."""
        where = f"{self.how.value} {self.at}" if self.at else self.how.value
        return f"{where}: {self.text}"


LATEST: Final = "latest"
"""What MLflow takes for the newest version; no alias can be called so."""

# Of a longer text only the beginning is looked at: a variable may hold a megabyte.
_LOOKED_AT: Final = 16_384
_SHOWN: Final = 200
_MOST: Final = 16

_OPTION: Final = re.compile(r"\A-{0,2}[A-Za-z0-9_.-]{1,64}=(?=models:/)")
_BREAKS: Final = re.compile(r"[\s\"'`,;|&<>()\[\]{}]+")
_SCHEME: Final = re.compile(r"(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,15}):/")
_TELLS: Final = re.compile(r"models:/|[0-9a-f]{32}")
_ID: Final = re.compile(r"[0-9a-f]{32}")
_MODEL_ID: Final = re.compile(r"m-[0-9a-f]{32}")
_ALIAS: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_VERSION: Final = re.compile(r"[vV]?([1-9][0-9]{0,9})")
_APART: Final = re.compile(r"[^a-z0-9]+")

# What may hold a model's files. Anything else in a variable, such as a data base, is no address of
# one and may hold a password.
_STORES: Final = frozenset(
    ("s3", "s3a", "s3n", "gs", "wasb", "wasbs", "abfs", "abfss", "adl", "hdfs", "viewfs", "dbfs",
     "pvc", "file", "oci", "hf", "mlflow-artifacts")
)  # fmt: skip
_WEB: Final = frozenset({"http", "https"})

# Labels and annotations that are there to name a model, by what stands before the slash.
_OURS: Final = ("mcp-tui.io", "mlflow.org")
_NAMES: Final = ("model", "model-name", "registered-model")
_VERSIONS: Final = ("model-version",)
_ALIASES: Final = ("model-alias",)
_RUNS: Final = ("run-id", "run_id", "mlflow-run-id")

_USUAL: Final = ("app.kubernetes.io", "name", "version")
_WORDS: Final = frozenset((*_NAMES, *_VERSIONS, *_ALIASES, *_RUNS, *_USUAL))

Fact = tuple[How, str, str]
"""Where a text stands, its name there, and the text."""


def slug(name: str) -> str:
    """A model's name as an image, a label or a DNS name can hold it."""
    return _APART.sub("-", name.lower()).strip("-")


def telling(texts: Iterable[str]) -> bool:
    """Whether :func:`addresses` may find anything in them, though none says where files are.

    Most objects name nothing: they cost one look.
    """
    return _TELLS.search("\n".join(texts)) is not None


def addresses(fact: Fact, *, location: bool = False) -> Iterator[Reference]:
    """Every address in a text that names a model version, a run or a logged model.

    Args:
        fact: The text, and where it stands.
        location: The text is there to say where the model's files are: an address is then taken
            for that, though it names no run.
    """
    how, at, text = fact
    text = text[:_LOOKED_AT].strip()
    if not (_TELLS.search(text) or (location and ":/" in text)):
        return
    # The name of a model may hold spaces: then the text is the address, and nothing else.
    whole = _OPTION.sub("", text)
    parts = _of_models(whole) if whole.startswith("models:/") else {}
    if len(parts) > 1:
        yield _made(how, at, whole, parts)
        return
    words = [word for word in _BREAKS.split(text) if word]
    for word in words[:1024]:
        found = _SCHEME.search(word)
        if found is None:
            if "/artifacts" in word and "/" in word:
                yield from _in_path(how, at, word[max(0, word.find("=")) :].lstrip("="), "")
            continue
        address = word[found.start() :].rstrip(".:")
        scheme = found[1]
        if scheme == "models":
            if parts := _of_models(address):
                yield _made(how, at, address, parts)
            continue
        # Of a text of several words none is there to say where the files are.
        place = scheme in _STORES or (scheme in _WEB and how is How.STORAGE)
        held = location and len(words) == 1 and place
        yield from _in_path(how, at, address, scheme, location=held)


def _of_models(address: str) -> dict[str, str]:
    """``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` and ``models:/m-ID`` in parts."""
    head, _, rest = address.removeprefix("models:").lstrip("/").partition("/")
    if _MODEL_ID.fullmatch(head):
        return {"model_id": head, "path": rest}
    name, sign, alias = head.rpartition("@")
    if sign and name and _ALIAS.fullmatch(alias):
        return {"model": name, "alias": alias}
    version = rest.partition("/")[0]
    if head and version.isascii() and version.isdigit() and int(version):
        return {"model": head, "version": str(int(version))}
    if head and version == LATEST:
        return {"model": head, "alias": LATEST}
    # A stage, or nothing: it is the model's, and which version nobody can say.
    return {"model": head} if head and rest else {}


def _in_path(
    how: How, at: str, address: str, scheme: str, *, location: bool = False
) -> Iterator[Reference]:
    bare = _bare(address)
    parts = bare.split("/")
    for number, part in enumerate(parts):
        rest = parts[number + 1 :]
        if _ID.fullmatch(part):
            # Without a scheme, only the layout of MLflow's own folders tells a run from a hash.
            if not scheme and rest[:1] != ["artifacts"]:
                continue
            inner = rest[1:] if rest[:1] == ["artifacts"] else rest
            known = {"run_id": part, "path": "/".join(inner)}
            yield _made(how, at, bare, known | ({"location": bare} if location else {}))
            return
        if _MODEL_ID.fullmatch(part):
            known = {"model_id": part}
            yield _made(how, at, bare, known | ({"location": bare} if location else {}))
            return
    if location:
        yield _made(how, at, bare, {"location": bare})


def _bare(address: str) -> str:
    """An address without user, password, query and fragment; without a slash at its end."""
    address = re.split(r"[?#]", address, maxsplit=1)[0]
    scheme, slashes, rest = address.partition("://")
    if slashes:
        host, slash, path = rest.partition("/")
        address = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return address.rstrip("/")


def location_of(source: str) -> str:
    """A version's source, to be compared with :attr:`Reference.location`."""
    return _bare(source.strip())


def run_in(source: str) -> tuple[str, str]:
    """The run that an address of its artifacts names, and the path there; empty for none."""
    for found in addresses((How.STORAGE, "", source)):
        if found.run_id:
            return found.run_id, found.path
    return "", ""


def model_id_in(source: str) -> str:
    """The logged model that a version's source names; empty for none."""
    return next((f.model_id for f in addresses((How.STORAGE, "", source)) if f.model_id), "")


def image(fact: Fact) -> Iterator[Reference]:
    """What an image's name says: a run's id in its tag, or by a guess the model and its version."""
    how, at, text = fact
    name, _, _digest = text.strip().removeprefix("oci://").partition("@")
    path, slash, last = name[:_LOOKED_AT].rpartition("/")
    last, colon, tag = last.partition(":")
    shown = f"{path}{slash}{last}{colon}{tag}"
    for part in re.split(r"[^0-9a-z]+", tag):
        if _ID.fullmatch(part):
            yield _made(how, at, shown, {"run_id": part})
            return
    version = _VERSION.fullmatch(tag)
    if version and last:
        yield _made(how, at, shown, {"model": last, "version": version[1]}, guess=True)


def labelled(facts: Iterable[Fact]) -> Iterator[Reference]:
    """What labels and annotations of one object say together: a model and its version, a run."""
    by_group: dict[str, dict[str, Fact]] = {}
    for fact in facts:
        group, _, word = fact[1].rpartition("/")
        word = word.lower()
        if word in _WORDS:
            by_group.setdefault(group, {})[word] = fact
    for group, words in by_group.items():
        exact = group in _OURS
        yield from _pair(words, _NAMES, _VERSIONS, _ALIASES, exact=exact, alone=exact)
        for word in _RUNS:
            if word in words and _ID.fullmatch(words[word][2]):
                yield _said(words[word], {"run_id": words[word][2]})
    usual = by_group.get(_USUAL[0], {})
    yield from _pair(usual, _USUAL[1:2], _USUAL[2:], (), exact=False, alone=False)


_MLFLOW_NAME: Final = ("mlflow_model_name",)
_NAME: Final = ("model_name", "registered_model_name")
_RUN: Final = ("mlflow_run_id", "model_run_id", "run_id")
_VARIABLES: Final = frozenset((*_MLFLOW_NAME, *_NAME, *_RUN))


def environment(facts: Iterable[Fact]) -> Iterator[Reference]:
    """What a container's variables say together."""
    words = {fact[1].lower(): fact for fact in facts}
    if _VARIABLES.isdisjoint(words):
        return
    yield from _pair(
        words,
        _MLFLOW_NAME,
        ("mlflow_model_version",),
        ("mlflow_model_alias",),
        exact=True,
        alone=True,
    )
    yield from _pair(words, _NAME, ("model_version",), ("model_alias",), exact=False, alone=False)
    for word in _RUN:
        # A server may have a run to log to, which is not the one that made its model.
        if word in words and _ID.fullmatch(words[word][2].strip()):
            yield _said(words[word], {"run_id": words[word][2].strip()}, guess=True)


def is_place(variable: str) -> bool:
    """Whether a variable is named for where a model is kept: MODEL_URI, STORAGE_URI and so on."""
    upper = variable.upper()
    return upper == "STORAGE_URI" or ("MODEL" in upper and upper.endswith(("URI", "PATH", "URL")))


def _pair(
    words: Mapping[str, Fact],
    names: Iterable[str],
    versions: Iterable[str],
    aliases: Iterable[str],
    *,
    exact: bool,
    alone: bool,
) -> Iterator[Reference]:
    name = next((words[w] for w in names if w in words and words[w][2].strip()), None)
    if name is None or ":/" in name[2]:
        return
    model = name[2].strip()
    for word in versions:
        version = _VERSION.fullmatch(words[word][2].strip()) if word in words else None
        if version:
            known = {"model": model, "version": version[1]}
            yield _said(words[word], known, guess=not exact, shown=f"{model} {version[1]}")
            return
    for word in aliases:
        if word in words and _ALIAS.fullmatch(words[word][2].strip()):
            alias = words[word][2].strip()
            known = {"model": model, "alias": alias}
            yield _said(words[word], known, guess=not exact, shown=f"{model} {alias}")
            return
    if alone:
        yield _said(name, {"model": model})


def _said(
    fact: Fact, known: Mapping[str, str], *, guess: bool = False, shown: str = ""
) -> Reference:
    return _made(fact[0], fact[1], shown or fact[2], known, guess=guess)


def _made(
    how: How, at: str, text: str, known: Mapping[str, Any], *, guess: bool = False
) -> Reference:
    return Reference(
        how=how,
        at=clean_line(at, limit=_SHOWN),
        text=one_line(text[: _SHOWN * 2])[:_SHOWN],
        guess=guess,
        **{field: clean_line(value, limit=1_024) for field, value in known.items()},
    )


def unique(references: Iterable[Reference]) -> tuple[Reference, ...]:
    """The first few of them, each once: what says the same in another place is left out."""
    found: dict[tuple[object, ...], Reference] = {}
    for each in references:
        said = (each.model, each.version, each.alias, each.run_id, each.path, each.model_id,
                each.location)  # fmt: skip
        before = found.get(said)
        if before is None or (before.guess and not each.guess):
            found[said] = each
    return tuple(found.values())[:_MOST]


__all__ = [
    "LATEST",
    "Fact",
    "How",
    "Reference",
    "addresses",
    "environment",
    "image",
    "is_place",
    "labelled",
    "location_of",
    "model_id_in",
    "run_in",
    "slug",
    "telling",
    "unique",
]
