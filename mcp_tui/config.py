"""The configuration: one frozen :class:`Config`, read once and passed in, never global.

The file is ``$XDG_CONFIG_HOME/mcp-tui/config.toml`` (or ``MCP_TUI_CONFIG``, or ``--config-file``).
Everything in it is optional. Secrets are named by environment variable or file, never written
in it, and are read when they are used.
"""

from __future__ import annotations

import difflib
import os
import pwd
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from mcp_tui.domain.plan import Tier
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

if TYPE_CHECKING:  # what few commands need is imported where the file speaks of it
    from mcp_tui.domain.approval import Rule
    from mcp_tui.domain.direction import Directions
    from mcp_tui.domain.gaterules import Gate

_NO_HOME = "/nonexistent"

_PROD_BEGINS = ("prod", "prd", "live")
# Whole words: ``kindred`` is not kind's, and a prod cluster taken for dev is not asked about.
_TIER_WORDS: tuple[tuple[Tier, frozenset[str]], ...] = (
    (
        Tier.TEST,
        frozenset({
            "test", "testing", "tst", "stag", "stage", "staging", "stg", "uat", "qa", "preprod",
            "preproduction",
        }),
    ),
    (
        Tier.DEV,
        frozenset({
            "dev", "devel", "develop", "development", "demo", "sandbox", "minikube", "local",
            "localhost",
        }),
    ),
)  # fmt: skip
# The contexts that the tools for a cluster on one machine write.
_ON_ONE_MACHINE = re.compile(r"(kind|k3d|minikube)-.*|k3d|kind|(docker|docker-for|rancher)-desktop")
# The last name of a domain (``admin@cluster.local``, ``k8s.acme.dev``), and of one in OpenShift's
# way (``api-k8s-acme-dev:6443``), is whose it is, not what it is for.
_TOP_DOMAIN = re.compile(r"\.[a-z]+(?![a-z0-9.-])|[.-][a-z]+(?=:[0-9])")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where MLflow or Prometheus is: a URL, or a Service behind the API server's proxy.

    Attributes:
        url: ``http://host:port[/prefix]``; empty when ``service`` is given.
        service: ``namespace/name:port``; reached through the API server.
        token_env: Environment variable that holds a bearer token.
        token_file: File that holds one.
        username: For basic authentication; the password comes from the two below.
        password_env: Environment variable that holds the password.
        password_file: File that holds it.
        ca_file: PEM bundle to trust beside the system's.
        origin: Where this setting came from, in words; set on loading.
    """

    url: str = ""
    service: str = ""
    token_env: str = ""
    token_file: str = ""
    username: str = ""
    password_env: str = ""
    password_file: str = ""
    ca_file: str = ""
    origin: str = ""


class ContextConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the console knows of one kubeconfig context beside the kubeconfig itself.

    Attributes:
        tier: dev, test or prod.
        tier_origin: Where the tier came from, in words.
        read_only: Nothing that writes leaves this machine for this context.
        namespace: Namespace to open; None means the kubeconfig's.
        mlflow: MLflow's endpoint; None means found by convention.
        prometheus: Prometheus' endpoint; None means found by convention.
        git_image: Image of the init container that clones the code; empty means the default.
        mlflow_in_cluster: MLflow's URL as pods see it, when it is another than the console's.
        gates: What a model must keep to be released here; those of all contexts where none are.
    """

    name: str = ""
    tier: Tier = Tier.PROD
    tier_origin: str = ""
    read_only: bool = False
    namespace: str | None = None
    mlflow: Endpoint | None = None
    prometheus: Endpoint | None = None
    git_image: str = ""
    mlflow_in_cluster: str = ""
    gates: tuple[Gate, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is configured; see the README's table.

    Attributes:
        contexts: By kubeconfig context name.
        theme: Name of a colour scheme.
        profile: ``auto`` (ssh when SSH_CONNECTION is set), ``local`` or ``ssh``.
        keys: Rebound keys: action id to key.
        read_only: For every context.
        no_color: Nothing is told by colour.
        state_dir: Where the journal is.
        origin: The file read, or None.
        gates: What a model must keep, in contexts that have no gates of their own.
        metrics: Which way metrics are better, where their names do not tell; None when not said.
        approvals: By tier; what is not there is as in
            :data:`mcp_tui.domain.approval_rules.DEFAULTS`.
    """

    contexts: Mapping[str, ContextConfig] = msgspec.field(default_factory=dict)
    theme: str = ""
    profile: str = "auto"
    keys: Mapping[str, str] = msgspec.field(default_factory=dict)
    read_only: bool = False
    no_color: bool = False
    state_dir: Path = Path()
    origin: Path | None = None
    gates: tuple[Gate, ...] = ()
    metrics: Directions | None = None
    approvals: Mapping[Tier, Rule] = msgspec.field(default_factory=dict)

    def for_context(
        self,
        name: str,
        env: Mapping[str, str] | None = None,
        *,
        extension: object = None,
        origin: str = "",
    ) -> ContextConfig:
        """Settings of a context: as configured, with the conventions filled in.

        Args:
            name: The kubeconfig context.
            env: For ``MLFLOW_TRACKING_URI`` and ``PROMETHEUS_URL``; empty when None.
            extension: What the kubeconfig's context says of them itself, in an extension named
                ``mcp-tui``: the same keys. The configuration file goes before it.
            origin: The kubeconfig, for messages.

        Raises:
            UsageError: The extension says something wrong.
        """
        env = env or {}
        found = self.contexts.get(name)
        if found is None and extension is not None:
            found = _context(name, extension, Path(origin), "")
        if found is None:
            tier, origin = guess_tier(name)
            found = ContextConfig(name=name, tier=tier, tier_origin=origin)
        mlflow = found.mlflow or _from_env(
            env, "MLFLOW_TRACKING_URI", bearer_env="MLFLOW_TRACKING_TOKEN"
        )
        prometheus = found.prometheus or _from_env(env, "PROMETHEUS_URL", bearer_env="")
        return msgspec.structs.replace(
            found,
            name=name,
            read_only=found.read_only or self.read_only,
            mlflow=mlflow,
            prometheus=prometheus,
            gates=found.gates or self.gates,
        )


class _RawContext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tier: Tier | None = None
    read_only: bool = False
    namespace: str | None = None
    mlflow: str | Endpoint | None = None
    prometheus: str | Endpoint | None = None
    git_image: str = ""
    mlflow_in_cluster: str = ""
    gates: Any = None


class _RawMetrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    neither: tuple[str, ...] = ()


class _RawConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    contexts: dict[str, Any] = {}
    theme: str = ""
    profile: str = "auto"
    keys: dict[str, str] = {}
    read_only: bool = False
    no_color: bool = False
    gates: Any = None
    metrics: _RawMetrics = _RawMetrics()
    approvals: dict[str, Any] = {}


def guess_tier(context: str) -> tuple[Tier, str]:
    """The tier that a context's name suggests; what suggests none is treated as prod.

    A word that begins as prod's do is enough for prod; for the others it has to be one of theirs.

    Returns:
        The tier, and in words where it came from.
    """
    name = context.lower()
    guessed = f"guessed from the name {clean_line(context)}"
    if any(word.startswith(_PROD_BEGINS) for word in re.split(r"[^a-z]+", name)):
        return Tier.PROD, guessed
    words = set(re.split(r"[^a-z]+", _TOP_DOMAIN.sub(" ", name)))
    for tier, known in _TIER_WORDS:
        if words & known:
            return tier, guessed
    if _ON_ONE_MACHINE.fullmatch(name):
        return Tier.DEV, guessed
    return Tier.PROD, "not configured: treated as prod"


def home(env: Mapping[str, str]) -> Path:
    """The user's home: ``HOME``, or what the user database says.

    Where neither says any (a container run as some number), Debian's word for none: nothing is
    found there, and whoever writes there says so.
    """
    if env.get("HOME"):
        return Path(env["HOME"])
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir or _NO_HOME)
    except (KeyError, OSError):
        return Path(_NO_HOME)


def config_path(env: Mapping[str, str]) -> Path:
    """Where the configuration is read from when no file is named."""
    if env.get("MCP_TUI_CONFIG"):
        return Path(env["MCP_TUI_CONFIG"])
    base = env.get("XDG_CONFIG_HOME") or home(env) / ".config"
    return Path(base) / "mcp-tui" / "config.toml"


def state_dir(env: Mapping[str, str]) -> Path:
    """Where the journal is kept: ``$XDG_STATE_HOME/mcp-tui``."""
    base = env.get("XDG_STATE_HOME") or home(env) / ".local" / "state"
    return Path(base) / "mcp-tui"


def load(path: Path | None = None, env: Mapping[str, str] | None = None) -> Config:
    """Read the configuration.

    Args:
        path: The file; None means the one of :func:`config_path`, which may be absent.
        env: The environment; the process' own when None.

    Raises:
        UsageError: The file is missing (when named), unreadable, or says something wrong; names
            the file, the line and the key.
    """
    env = os.environ if env is None else env
    named = path is not None or bool(env.get("MCP_TUI_CONFIG"))
    path = path or config_path(env)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        if named:
            raise UsageError("no such configuration file", where=str(path)) from None
        return Config(state_dir=state_dir(env), no_color=bool(env.get("NO_COLOR")))
    except OSError as error:
        raise UsageError(
            f"cannot read the configuration: {error.strerror}", where=str(path)
        ) from None
    return _parse(data, path, env)


def _parse(data: bytes, path: Path, env: Mapping[str, str]) -> Config:
    try:
        text = data.decode()
        tree = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError("the configuration is not UTF-8", where=f"{path}:{line}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {clean_line(str(error))}", where=str(path)) from None
    except RecursionError:
        where = f"{path}:{_longest(text)}"
        raise UsageError("not valid TOML: nested too deep", where=where) from None
    except ValueError:  # of Python's own: an integer with thousands of digits
        where = f"{path}:{_longest(text)}"
        raise UsageError("not valid TOML: a number that is too long", where=where) from None
    try:
        raw = msgspec.convert(tree, _RawConfig)
    except msgspec.ValidationError as error:
        raise _explain(str(error), text, path, _RawConfig) from None
    if raw.profile not in ("auto", "local", "ssh"):
        raise UsageError(
            f"profile {clean_line(raw.profile)!r} is not known",
            where=_where(path, text, "profile"),
            hint="use auto, local or ssh",
        )
    contexts = {name: _context(name, rc, path, text) for name, rc in raw.contexts.items()}
    return Config(
        contexts=contexts,
        theme=raw.theme,
        profile=raw.profile,
        keys=raw.keys,
        read_only=raw.read_only,
        no_color=raw.no_color or bool(env.get("NO_COLOR")),
        state_dir=state_dir(env),
        origin=path,
        gates=_gates(raw.gates, path, text),
        metrics=_metrics(raw.metrics),
        approvals=dict(_approvals(raw.approvals, path, text)),
    )


def _metrics(raw: _RawMetrics) -> Directions | None:
    if raw == _RawMetrics():
        return None
    from mcp_tui.domain.direction import Directions

    return Directions(higher=raw.higher, lower=raw.lower, neither=raw.neither)


def _gates(tree: Any, path: Path, text: str) -> tuple[Gate, ...]:
    if tree is None:
        return ()
    from mcp_tui.domain.gaterules import read_tree

    return read_tree(tree, text, clean_line(str(path)))


def _approvals(tree: Mapping[str, Any], path: Path, text: str) -> Iterator[tuple[Tier, Rule]]:
    if not tree:
        return
    from mcp_tui.domain.approval_rules import read_rule

    for name, rule in tree.items():
        try:
            tier = Tier(name)
        except ValueError:
            raise UsageError(
                f"{clean_line(name, limit=80)!r} is no tier",
                where=_where(path, text, name, after="approvals"),
                hint="use dev, test or prod",
            ) from None
        try:
            yield tier, read_rule(rule)
        except UsageError as error:
            at = _where(path, text, error.where or name, after=f"approvals.{name}")
            what = f"approvals.{name}: {error.what}"
            raise UsageError(what, where=at, hint=error.hint) from None


def _longest(text: str) -> int:
    """The number of the longest line, where what is too much of something most likely is."""
    lines = text.split("\n")
    return max(range(len(lines)), key=lambda at: len(lines[at])) + 1


def _context(name: str, tree: Any, path: Path, text: str) -> ContextConfig:
    try:
        raw = msgspec.convert(tree, _RawContext)
    except msgspec.ValidationError as error:
        raise _explain(str(error), text, path, _RawContext, f"contexts.{name}") from None
    tier, origin = (raw.tier, str(path)) if raw.tier is not None else guess_tier(name)
    return ContextConfig(
        name=name,
        tier=tier,
        tier_origin=origin,
        read_only=raw.read_only,
        namespace=raw.namespace,
        mlflow=_endpoint(raw.mlflow, "mlflow", name, path, text),
        prometheus=_endpoint(raw.prometheus, "prometheus", name, path, text),
        git_image=raw.git_image,
        mlflow_in_cluster=raw.mlflow_in_cluster,
        gates=_gates(raw.gates, path, text),
    )


def _endpoint(
    raw: str | Endpoint | None, key: str, context: str, path: Path, text: str
) -> Endpoint | None:
    if raw is None:
        return None
    endpoint = Endpoint(url=raw) if isinstance(raw, str) else raw
    where = _where(path, text, key, after=f"contexts.{context}")
    if bool(endpoint.url) == bool(endpoint.service):
        raise UsageError(
            f"{key} of context {clean_line(context)} needs either a url or a service", where=where
        )
    if endpoint.url:
        check_url(endpoint.url, where)
    elif not re.fullmatch(r"[a-z0-9-]+/[a-z0-9.-]+:[a-z0-9-]+", endpoint.service):
        raise UsageError(
            f"service {clean_line(endpoint.service)!r} is not namespace/name:port", where=where
        )
    return msgspec.structs.replace(endpoint, url=endpoint.url.rstrip("/"), origin=str(path))


def check_url(url: str, where: str) -> None:
    """Refuse a URL that is not HTTP or carries credentials, without repeating them.

    Raises:
        UsageError: What is wrong with it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    wrong = parts.scheme not in ("http", "https") or not host
    # A password with a slash in it makes another URL of it, which must not be told of either.
    if "@" in (parts.netloc or "") or (wrong and "@" in url):
        raise UsageError(
            "a URL must not carry credentials",
            where=where,
            hint="name them by token_env, token_file, or username with password_env",
        )
    if wrong:
        raise UsageError(f"{clean_line(url)!r} is not an http or https URL", where=where)


def _from_env(env: Mapping[str, str], name: str, *, bearer_env: str) -> Endpoint | None:
    url = env.get(name, "")
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        # A file store or "databricks" is MLflow's business; the console needs a server.
        return None
    check_url(url, f"environment variable {name}")
    basic = bearer_env and env.get("MLFLOW_TRACKING_USERNAME", "")
    return Endpoint(
        url=url.rstrip("/"),
        token_env=bearer_env if bearer_env and env.get(bearer_env) and not basic else "",
        username=basic or "",
        password_env="MLFLOW_TRACKING_PASSWORD" if basic else "",
        origin=f"environment variable {name}",
    )


_PATH = re.compile(r" - at `\$\.?(.*?)`$")
_UNKNOWN = re.compile(r"unknown field `(.*?)`")


def _explain(message: str, text: str, path: Path, owner: Any, section: str = "") -> UsageError:
    at = _PATH.search(message)
    keys = [k for k in re.split(r"[.\[\]]+", at.group(1)) if k] if at else []
    what = _PATH.sub("", message)
    unknown = _UNKNOWN.search(message)
    hint = ""
    if unknown:
        key = unknown.group(1)
        if keys[-1:] in (["mlflow"], ["prometheus"]):
            owner = Endpoint
        elif keys[-1:] == ["metrics"]:
            owner = _RawMetrics
        names = [n for n in owner.__struct_fields__ if n != "origin"]
        near = difflib.get_close_matches(key, names, n=1)
        what = f"unknown key {clean_line(key)!r}"
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"
        keys.append(key)
    else:
        dotted = ".".join(filter(None, [section, *keys]))
        what = f"{clean_line(dotted) or 'the file'}: {clean_line(what)}"
    where = _where(path, text, keys[-1] if keys else "", after=section)
    return UsageError(what, where=where, hint=hint)


def _where(path: Path, text: str, key: str, *, after: str = "") -> str:
    """``file:line`` of a key, as well as a look at the text can tell; else the file."""
    lines = text.split("\n")  # as TOML counts them
    start = 0
    if after:
        plain = re.sub(r"[\"']", "", after)
        for i, line in enumerate(lines):
            if re.sub(r"[\"'\s\[\]]", "", line) == plain:
                start = i
                break
    pattern = re.compile(rf"(?:^|[\s{{,.\"']){re.escape(key)}[\"']?\s*[=.\]]")
    for i, line in enumerate(lines[start:], start + 1):
        if key and pattern.search(line):
            return f"{clean_line(str(path))}:{i}"
    return clean_line(str(path))
