"""Configuration and kubeconfig files with a hostile text in any one of their fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mcp_tui.config import Endpoint, _RawConfig, _RawContext
from tests.hostile.texts import whole

Path_ = tuple[str | int, ...]


def settings_fields() -> Iterator[tuple[str, ...]]:
    """Where in the configuration a text may stand, by its own structs; ``{}`` is the text."""
    for name in _RawConfig.__struct_fields__:
        if name == "keys":
            yield from (("keys", "refresh"), ("keys", "{}"))
        elif name != "contexts":
            yield (name,)
    yield ("{}",)
    yield from (("contexts", "{}"), ("contexts", "{}", "{}"), ("contexts", "dev", "{}"))
    for name in _RawContext.__struct_fields__:
        yield ("contexts", "dev", name)
        yield ("contexts", "{}", name)
        if name in ("mlflow", "prometheus"):
            for field in (*Endpoint.__struct_fields__, "{}"):
                yield ("contexts", "dev", name, field)


def settings(url: str, at: tuple[str, ...], text: str) -> str:
    """A configuration with a text at that place, as TOML."""
    tree: dict[str, Any] = {"contexts": {"dev": {"tier": "dev"}}}
    if len(at) == 4 and at[3] not in ("url", "service"):
        tree["contexts"]["dev"][at[2]] = {"url": f"{url}/{at[2]}"}
    here = tree
    *way, last = (text if key == "{}" else key for key in at)
    for key in way:
        here = here.setdefault(key, {})
    here[last] = text
    return "".join(_toml(tree, ()))


def _toml(tree: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[str]:
    if at:
        yield f"[{'.'.join(quoted(key) for key in at)}]\n"
    for key, value in tree.items():
        if not isinstance(value, dict):
            yield f"{quoted(key)} = {quoted(value)}\n"
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _toml(value, (*at, key))


def quoted(text: str) -> str:
    """A text as TOML has it."""
    return json.dumps(whole(text), ensure_ascii=False).replace("\x7f", "\\u007f")


KUBECONFIG_FIELDS: Final[tuple[Path_, ...]] = (
    ("apiVersion",),
    ("kind",),
    ("current-context",),
    ("preferences",),
    ("contexts", 0, "name"),
    *(("contexts", 0, "context", name) for name in ("cluster", "user", "namespace", "extensions")),
    ("contexts", 0, "context", "extensions", 0, "name"),
    ("contexts", 0, "context", "extensions", 0, "extension"),
    ("contexts", 0, "context", "extensions", 0, "extension", "mlflow"),
    ("contexts", 0, "context", "extensions", 0, "extension", "namespace"),
    ("contexts", 0, "context", "extensions", 0, "extension", "{}"),
    ("clusters", 0, "name"),
    *(
        ("clusters", 0, "cluster", name)
        for name in (
            "server",
            "certificate-authority",
            "certificate-authority-data",
            "insecure-skip-tls-verify",
            "tls-server-name",
            "proxy-url",
            "disable-compression",
            "{}",
        )
    ),
    ("users", 0, "name"),
    *(
        ("users", 0, "user", name)
        for name in (
            "token",
            "tokenFile",
            "username",
            "password",
            "client-certificate",
            "client-certificate-data",
            "client-key",
            "client-key-data",
            "as",
            "as-uid",
            "auth-provider",
            "exec",
            "{}",
        )
    ),
    ("users", 0, "user", "as-groups", 0),
    ("users", 0, "user", "as-user-extra", "{}", 0),
    ("users", 0, "user", "auth-provider", "name"),
    *(
        ("users", 0, "user", "exec", name)
        for name in (
            "command",
            "apiVersion",
            "interactiveMode",
            "installHint",
            "provideClusterInfo",
        )
    ),
    ("users", 0, "user", "exec", "args", 0),
    ("users", 0, "user", "exec", "env", 0, "name"),
    ("users", 0, "user", "exec", "env", 0, "value"),
)
"""Where in a kubeconfig a text may stand."""


def kubeconfig(url: str, at: Path_, text: str) -> str:
    """A kubeconfig with a text at that place, as JSON, which YAML takes too."""
    user: dict[str, Any] = {"token": "t"}
    tree: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u", "namespace": "ml"}}],
    }
    if at[:3] == ("users", 0, "user"):
        user.clear()
    if at[3:4] == ("exec",):
        user["exec"] = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/echo",
            "args": ["x"],
            "env": [{"name": "A", "value": "b"}],
            "interactiveMode": "Never",
        }
    if "as" in at or at[3:4] in (("as-uid",), ("as-groups",), ("as-user-extra",)):
        user.update({"token": "t", "as": "somebody"})
    if at[3:4] == ("username",):
        user["password"] = "p"
    if at[3:4] == ("password",):
        user["username"] = "n"
    if str(at[3:4]).startswith("('client-"):
        user.update({"client-certificate-data": "aGk=", "client-key-data": "aGk="})
    here: Any = tree
    *way, last = (text if key == "{}" else key for key in at)
    for number, key in enumerate(way):
        following = [*way, last][number + 1]
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(key, int):
            if not here:
                here.append(empty)
            here = here[key]
        else:
            here = here.setdefault(key, empty)
    if isinstance(last, int):
        here[last:] = [text]
    else:
        here[last] = text
    return json.dumps(_whole(tree), ensure_ascii=True)


def _whole(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {whole(str(key)): _whole(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_whole(each) for each in tree]
    return whole(tree) if isinstance(tree, str) else tree
