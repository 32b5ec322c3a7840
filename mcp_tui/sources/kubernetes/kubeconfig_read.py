"""Reads one kubeconfig file: YAML to checked fields, with the place of what is wrong."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import UsageError
from mcp_tui.sources.kubernetes.contextinfo import (
    ClusterInfo,
    Entry,
    ExecPlugin,
    Impersonation,
    UserInfo,
)

MAX_BYTES: Final = 16 * 1024 * 1024
_SINGULAR: Final = {"contexts": "context", "clusters": "cluster", "users": "user"}
_EXEC_VERSIONS: Final = (
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
)
_DEEPEST: Final = 200
_DEEP: Final = re.compile(r"^[ \t?-]{1000}", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """One file's current context and its entries by kind."""

    current: str
    entries: Mapping[str, tuple[Entry, ...]]


def document(path: Path) -> Document:
    """Read one file.

    Raises:
        UsageError: It is missing, unreadable, too large, empty, not YAML, or not a kubeconfig.
    """
    where = str(path)
    data = _parse(_content(path), where)
    if data is None:
        raise UsageError("the kubeconfig is empty", where=where, hint="set KUBECONFIG to another")
    if not isinstance(data, dict):
        raise UsageError(f"not a kubeconfig: it holds {_kind_of(data)}, not a mapping", where=where)
    root = Entry("", data, path, "")
    entries: dict[str, tuple[Entry, ...]] = {}
    for plural, singular in _SINGULAR.items():
        entries[plural] = _named(root, plural, singular)
    return Document(text(root, "current-context"), entries)


def _content(path: Path) -> str:
    where = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError("too large for a kubeconfig", where=where)
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(
            "there is no kubeconfig",
            where=where,
            hint="set KUBECONFIG, or run `mcp-tui demo` for a cluster of its own",
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 text at byte {error.start}", where=where) from None
    except OSError as error:
        raise UsageError(
            f"cannot be read: {clean_line(error.strerror or type(error).__name__)}",
            where=where,
            hint="check the file's owner and mode",
        ) from None


def _parse(content: str, where: str) -> Any:
    import yaml

    # The C loader takes 2 ms where the Python one takes 40; a build without libyaml lacks it.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if _may_be_deep(content) and _is_deep(yaml.parse(content, Loader=loader)):
            raise UsageError(f"nested deeper than {_DEEPEST} levels", where=where)
        return yaml.load(content, Loader=loader)  # noqa: S506 - it is a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark is not None else where
        raise UsageError(
            f"not YAML: {one_line(error.problem or 'malformed')}", where=place
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"not YAML: {one_line(str(error))}", where=where) from None
    except (LookupError, AttributeError, TypeError, ArithmeticError):
        # What PyYAML makes of "!!bool foo" and "!!int ''": it trusts a tag that is written out.
        raise UsageError("not YAML: a value is not what its tag says", where=where) from None


def _may_be_deep(content: str) -> bool:
    """Whether a text might nest so deep that the C loader, whose calls nest as the text does, would
    overflow the stack and take the process with it; few texts do."""
    return content.count("[") + content.count("{") > 1_000 or _DEEP.search(content) is not None


def _is_deep(events: Iterable[object]) -> bool:
    """Whether a text nests too deep, by its events, which need no recursion."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


def _named(root: Entry, plural: str, singular: str) -> tuple[Entry, ...]:
    items = root.value.get(plural)
    if items is None:
        return ()
    if not isinstance(items, list):
        raise _wrong(root, plural, "a list", items)
    out: dict[str, Entry] = {}
    for index, item in enumerate(items):
        holder = Entry("", {}, root.origin, f"{plural}[{index}]")
        if not isinstance(item, dict):
            raise _wrong(root, f"{plural}[{index}]", "a mapping", item)
        name = text(Entry("", item, root.origin, holder.where), "name")
        value = item.get(singular)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise _wrong(holder, singular, "a mapping", value)
        if name in out:
            raise UsageError(
                f'{plural} names "{clean_line(name)}" twice',
                where=str(root.origin),
                hint="remove one of them",
            )
        out[name] = Entry(name, value, root.origin, f"{holder.where}.{singular}")
    return tuple(out.values())


def cluster(entry: Entry) -> ClusterInfo:
    """Check a cluster's fields.

    Raises:
        UsageError: A field is of a wrong type, the server is missing or no http(s) URL, base64 is
            malformed, or the CA file is not there.
    """
    server = text(entry, "server").rstrip("/")
    parts = _url(server)
    if parts is None:
        # With a password in it, a slash in that is enough to be here.
        shown = clean_line(server, limit=200)
        if "@" in server:
            shown = "not shown: a credential is in it"
        raise UsageError(
            f'the server of cluster "{clean_line(entry.name)}" is not an http or https URL: '
            f'"{shown}"',
            where=str(entry.origin),
        )
    ca_data = data(entry, "certificate-authority-data")
    return ClusterInfo(
        name=entry.name,
        server=server,
        ca_data=ca_data,
        ca_file=None if ca_data is not None else file(entry, "certificate-authority"),
        insecure=flag(entry, "insecure-skip-tls-verify"),
        tls_server_name=text(entry, "tls-server-name"),
        proxy_url=text(entry, "proxy-url"),
        disable_compression=flag(entry, "disable-compression"),
        exec_config=extension(entry, "client.authentication.k8s.io/exec"),
    )


def _url(server: str) -> object | None:
    try:
        parts = urlsplit(server)
        parts.port  # noqa: B018 - raises ValueError for a port that is none
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def extension(entry: Entry, name: str) -> object:
    """What an entry says in its extension of that name, unchecked; None when there is none."""
    extensions = entry.value.get("extensions")
    for item in extensions if isinstance(extensions, list) else ():
        if isinstance(item, dict) and item.get("name") == name:
            return item.get("extension")
    return None


def user(entry: Entry) -> UserInfo:
    """Check a user's fields.

    Raises:
        UsageError: As for :func:`cluster`; also a certificate without its key, a token beside a
            user name, or an authentication provider that nobody supports any more.
    """
    cert_data, key_data = data(entry, "client-certificate-data"), data(entry, "client-key-data")
    cert_file = None if cert_data is not None else file(entry, "client-certificate")
    key_file = None if key_data is not None else file(entry, "client-key")
    has_cert = cert_data is not None or cert_file is not None
    if has_cert != (key_data is not None or key_file is not None):
        lacking = "client-key" if has_cert else "client-certificate"
        raise UsageError(
            f'user "{clean_line(entry.name)}" has no {lacking} to go with the other',
            where=str(entry.origin),
        )
    token = text(entry, "token")
    username = text(entry, "username")
    if token and username:
        raise UsageError(
            f'user "{clean_line(entry.name)}" has both a token and a user name',
            where=str(entry.origin),
            hint="remove one of them",
        )
    plugin = _exec(entry)
    if entry.value.get("auth-provider") is not None and not (token or plugin):
        token = _provider_token(entry)
    return UserInfo(
        name=entry.name,
        cert_data=cert_data,
        cert_file=cert_file,
        key_data=key_data,
        key_file=key_file,
        token=token,
        token_file=file(entry, "tokenFile"),
        username=username,
        password=text(entry, "password"),
        exec=plugin,
        impersonate=_impersonation(entry),
    )


def _provider_token(entry: Entry) -> str:
    provider = entry.value["auth-provider"]
    config = provider.get("config") if isinstance(provider, dict) else None
    token = config.get("id-token") if isinstance(config, dict) else None
    if isinstance(token, str) and token:
        return token
    name = provider.get("name") if isinstance(provider, dict) else ""
    raise UsageError(
        f'user "{clean_line(entry.name)}" uses the authentication provider '
        f'"{clean_line(str(name))}", which Kubernetes has removed',
        where=str(entry.origin),
        hint="use an exec plugin instead",
    )


def _impersonation(entry: Entry) -> Impersonation | None:
    who, uid, groups = text(entry, "as"), text(entry, "as-uid"), texts(entry, "as-groups")
    raw = entry.value.get("as-user-extra") or {}
    if not isinstance(raw, dict):
        raise _wrong(entry, "as-user-extra", "a mapping", raw)
    inner = Entry(entry.name, raw, entry.origin, f"{entry.where}.as-user-extra")
    extra = tuple((str(key), texts(inner, key)) for key in raw)
    if not who and (uid or groups or extra):
        raise UsageError(
            f'user "{clean_line(entry.name)}" impersonates groups or extras but nobody',
            where=str(entry.origin),
            hint="set `as` too",
        )
    return Impersonation(who, uid, groups, extra) if who else None


def _exec(entry: Entry) -> ExecPlugin | None:
    raw = entry.value.get("exec")
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise _wrong(entry, "exec", "a mapping", raw)
    inner = Entry(entry.name, raw, entry.origin, f"{entry.where}.exec")
    command, version = text(inner, "command"), text(inner, "apiVersion")
    if not command:
        raise UsageError(f"{inner.where} has no command", where=str(entry.origin))
    if version not in _EXEC_VERSIONS:
        raise UsageError(
            f'{inner.where}.apiVersion is "{clean_line(version)}"',
            where=str(entry.origin),
            hint=f"use {_EXEC_VERSIONS[0]}",
        )
    if "/" in command and not Path(command).is_absolute():
        command = str(entry.origin.absolute().parent / command)
    mode = text(inner, "interactiveMode") or "IfAvailable"
    if mode not in ("Never", "IfAvailable", "Always"):
        raise UsageError(
            f'{inner.where}.interactiveMode is "{clean_line(mode)}"',
            where=str(entry.origin),
            hint="use Never, IfAvailable or Always",
        )
    return ExecPlugin(
        command=command,
        args=texts(inner, "args"),
        env=_env(inner),
        api_version=version,
        provide_cluster_info=flag(inner, "provideClusterInfo"),
        interactive_mode=mode,
        install_hint=one_line(text(inner, "installHint")),
    )


def _env(entry: Entry) -> tuple[tuple[str, str], ...]:
    raw = entry.value.get("env") or []
    if not isinstance(raw, list):
        raise _wrong(entry, "env", "a list", raw)
    pairs = []
    for index, item in enumerate(raw):
        if not isinstance(item, dict):
            raise _wrong(entry, f"env[{index}]", "a mapping", item)
        inner = Entry(entry.name, item, entry.origin, f"{entry.where}.env[{index}]")
        pairs.append((text(inner, "name"), text(inner, "value")))
    return tuple(pairs)


def text(entry: Entry, key: str) -> str:
    """A text field, empty when it is absent; UsageError when it is not text."""
    value = entry.value.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(entry, key, "text", value, hint="put it in quotes")
    return value


def texts(entry: Entry, key: str) -> tuple[str, ...]:
    """A field that is a list of texts."""
    value = entry.value.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _wrong(entry, key, "a list", value)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise _wrong(entry, f"{key}[{index}]", "text", item, hint="put it in quotes")
    return tuple(value)


def flag(entry: Entry, key: str) -> bool:
    """A field that is true or false; false when it is absent."""
    value = entry.value.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong(entry, key, "true or false", value)
    return value


def data(entry: Entry, key: str) -> bytes | None:
    """A base64 field, decoded; None when it is absent or empty."""
    value = text(entry, key)
    if not value:
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(
            f"{_place(entry, key)} is not base64",
            where=str(entry.origin),
            hint="copy the kubeconfig again; it may be cut off",
        ) from None


def file(entry: Entry, key: str) -> Path | None:
    """A path field, made absolute from its file's folder; UsageError when nothing is there."""
    value = text(entry, key)
    if not value:
        return None
    path = entry.origin.absolute().parent / value
    if not _is_file(path):
        shown = clean_line(str(path), limit=300)
        raise UsageError(
            f"{_place(entry, key)} names a file that is not there: {shown}",
            where=str(entry.origin),
        )
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _place(entry: Entry, key: str) -> str:
    place = f"{entry.where}.{key}" if entry.where else key
    return f'{clean_line(place)} ("{clean_line(entry.name)}")' if entry.name else clean_line(place)


def _kind_of(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}
    return names.get(
        type(value), "a number" if isinstance(value, int | float) else "something else"
    )


def _wrong(entry: Entry, key: str, wanted: str, value: object, hint: str = "") -> UsageError:
    """The error for a wrong type; it never shows the value, which may be a secret."""
    return UsageError(
        f"{_place(entry, key)} must be {wanted}, not {_kind_of(value)}",
        where=str(entry.origin),
        hint=hint,
    )
