"""``mcp-tui doctor``: each context and endpoint: reachable, who am I, what may I do, what is
missing, what to do."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
from collections.abc import Awaitable
from typing import Literal, TypeVar

import msgspec

from mcp_tui.actions.kinds import JOB_KINDS
from mcp_tui.cli.output import Column, Printer
from mcp_tui.cli.settings import Chosen, asked_namespace, chosen_names, configuration, kubeconfig
from mcp_tui.config import Config, Endpoint
from mcp_tui.domain.text import clean_line, without_credentials
from mcp_tui.errors import ApiError, ExitCode, McpTuiError, RefusedError, UnreachableError
from mcp_tui.locales import utf8_locale
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.resources import discover, silent

T = TypeVar("T")
Verdict = Literal["ok", "note", "warn", "FAIL"]
_SKEW = 5.0


class Finding(msgspec.Struct, frozen=True):
    """One line of the examination.

    Attributes:
        verdict: ``FAIL`` makes the command fail; ``warn`` and ``note`` do not.
        advice: What to do; empty when there is nothing.
    """

    context: str
    what: str
    verdict: Verdict
    message: str
    advice: str = ""


_COLUMNS: tuple[Column[Finding], ...] = (
    Column("CONTEXT", lambda f: f.context),
    Column(
        "",
        lambda f: f.verdict,
        style=lambda f: {"FAIL": "failed", "warn": "attention", "ok": "done"}.get(f.verdict, ""),
    ),
    Column("WHAT", lambda f: f.what),
    Column("FOUND", lambda f: f.message + (f"; {f.advice}" if f.advice else "")),
)


async def doctor(args: argparse.Namespace) -> int:
    """Examine the contexts named by ``--context``, or all of them, at the same time."""
    config, kube = configuration(args), kubeconfig(args)
    asked_namespace(args)
    names = chosen_names(args, kube) if args.context else [c.name for c in kube.contexts()]
    printer = Printer(color=False if config.no_color else None)
    findings = _machine(config)
    per_context = await asyncio.gather(
        *(_safely(name, args, config, timeout=args.timeout) for name in names)
    )
    for found in per_context:
        findings += found
    if args.output in ("json", "yaml"):
        printer.data(findings, args.output)
    elif args.output == "name":
        for name in dict.fromkeys(f.context for f in findings if f.verdict == "FAIL"):
            printer.line(name)
    else:
        printer.table(findings, _COLUMNS, wide=True)
    return ExitCode.UNREACHABLE if any(f.verdict == "FAIL" for f in findings) else ExitCode.OK


def _machine(config: Config) -> list[Finding]:
    here = "(this machine)"
    found = [
        Finding(here, "config", "ok", clean_line(str(config.origin)))
        if config.origin
        else Finding(here, "config", "note", "none; the conventions apply")
    ]
    if shutil.which("git"):
        found.append(Finding(here, "git", "ok", "installed"))
    else:
        found.append(
            Finding(here, "git", "warn", "not installed", "job submit resolves branches with it")
        )
    if not utf8_locale():
        # Python puts another LC_CTYPE in the place of the C locale's.
        locale = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
        what = clean_line(locale) or "not set"
        found.append(Finding(here, "locale", "note", f"{what}: signs are ASCII"))
    return found


async def _safely(
    name: str, args: argparse.Namespace, config: Config, *, timeout: float
) -> list[Finding]:
    try:
        info = kubeconfig(args).context(name)
        settings = config.for_context(
            name, os.environ, extension=info.extension, origin=info.origin
        )
        namespace = asked_namespace(args) or settings.namespace or info.namespace or "default"
        everywhere = None if args.all_namespaces else namespace
        return await _examine(Chosen(info, settings, everywhere), timeout)
    except McpTuiError as error:
        return [Finding(clean_line(name), "kubeconfig", "FAIL", error.line())]
    except Exception as error:  # noqa: BLE001 - a defect met in one context hides no other
        what = f"a defect: {type(error).__name__}"
        return [Finding(clean_line(name), "doctor", "FAIL", what, "please report it")]


async def _examine(chosen: Chosen, timeout: float) -> list[Finding]:
    settings = chosen.config
    mode = "read-only" if settings.read_only else "write"
    found = [
        Finding(
            chosen.name,
            "tier",
            "note"
            if "treated" in settings.tier_origin or "guess" in settings.tier_origin
            else "ok",
            f"{settings.tier.value}, {mode} ({clean_line(settings.tier_origin)})",
        )
    ]
    plugin = chosen.info.user_info.exec
    if plugin is not None:
        found.append(Finding(chosen.name, "plugin", "note", f"runs {plugin.command_line()}"))
    connection = Connection(chosen.info, settings)
    try:
        # What is configured is asked beside the cluster; what is not may be found through it.
        cluster, mlflow, prometheus = await asyncio.gather(
            _cluster(chosen, connection, timeout),
            _mlflow(chosen.name, connection, timeout),
            _prometheus(chosen.name, connection, timeout),
        )
        if (mlflow is None or prometheus is None) and cluster[0].verdict != "FAIL":
            with contextlib.suppress(McpTuiError):
                await _bounded(connection.find_endpoints(chosen.namespace), timeout)
            mlflow = mlflow or await _mlflow(chosen.name, connection, timeout)
            prometheus = prometheus or await _prometheus(chosen.name, connection, timeout)
        looked = "not asked" if cluster[0].verdict == "FAIL" else "no Service with the usual labels"
        mlflow = mlflow or Finding(
            chosen.name,
            "mlflow",
            "warn",
            f"not configured, {looked}: no runs, no metrics",
            f"set mlflow under [contexts.{_key(chosen.name)}], or MLFLOW_TRACKING_URI",
        )
        prometheus = prometheus or Finding(
            chosen.name,
            "prometheus",
            "note",
            f"not configured, {looked}",
            f"set prometheus under [contexts.{_key(chosen.name)}], or PROMETHEUS_URL",
        )
        return [*found, *cluster, mlflow, prometheus]
    finally:
        await connection.aclose()


def _key(name: str) -> str:
    """A context's name as a key of TOML."""
    plain = all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if plain and name else msgspec.json.encode(clean_line(name)).decode()


async def _bounded(call: Awaitable[T], timeout: float) -> T:
    try:
        async with asyncio.timeout(timeout):
            return await call
    except TimeoutError:
        raise UnreachableError(f"no answer within {timeout:g} s") from None


async def _cluster(chosen: Chosen, connection: Connection, timeout: float) -> list[Finding]:
    name, kube = chosen.name, connection.kube
    server = clean_line(without_credentials(chosen.info.server))
    try:
        version = await _bounded(kube.server_version(), timeout)
    except McpTuiError as error:
        return [
            Finding(
                name,
                "api server",
                "FAIL",
                f"{server}: {error.line()}",
                "" if error.hint else "check the VPN, the server's address and the credentials",
            )
        ]
    found = [Finding(name, "api server", "ok", f"{server}, Kubernetes {version.git_version}")]
    skew = kube.clock_skew
    if skew is not None and abs(skew) > _SKEW:
        found.append(
            Finding(
                name,
                "clock",
                "warn",
                f"this machine's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead'}",
                "ages are wrong by as much; set the clock",
            )
        )
    who, rights, kinds = await asyncio.gather(
        _who(name, connection, timeout),
        _rights(chosen, connection, timeout),
        _kinds(chosen, connection, timeout),
    )
    return [*found, who, *rights, *kinds]


async def _who(name: str, connection: Connection, timeout: float) -> Finding:
    try:
        me = await _bounded(connection.kube.whoami(), timeout)
    except ApiError as error:
        if error.status == 401:
            return Finding(name, "user", "FAIL", error.line(), "log in again")
        return Finding(name, "user", "note", f"the server does not say: {error.line()}")
    except McpTuiError as error:
        return Finding(name, "user", "FAIL", error.line())
    groups = ", ".join(clean_line(g) for g in me.groups[:6])
    return Finding(name, "user", "ok", f"{clean_line(me.username)} ({groups})")


_WANTED = (
    ("list", "batch", "jobs", "FAIL", "nothing can be shown without it"),
    ("watch", "batch", "jobs", "warn", "lists are polled instead"),
    ("list", "", "pods", "warn", "causes of failures cannot be told"),
    ("list", "", "events", "note", "some causes cannot be told"),
    ("get", "", "pods/log", "note", "no logs"),
    ("create", "batch", "jobs", "note", "no submit, no retry"),
    ("patch", "batch", "jobs", "note", "no suspend, no resume"),
    ("delete", "batch", "jobs", "note", "no cancel, no delete"),
    ("create", "", "events", "note", "actions are not recorded as Events"),
)


async def _rights(chosen: Chosen, connection: Connection, timeout: float) -> list[Finding]:
    namespace = chosen.namespace or ""
    where = f"namespace {clean_line(namespace)}" if namespace else "every namespace"

    async def ask(verb: str, group: str, resource: str) -> bool | None:
        plural, _, sub = resource.partition("/")
        try:
            answer = await _bounded(
                connection.kube.can_i(verb, group, plural, namespace, "", sub), timeout
            )
        except (ApiError, RefusedError, UnreachableError):
            return None
        return answer.allowed

    answers = await asyncio.gather(*(ask(v, g, r) for v, g, r, _, _ in _WANTED))
    may = [f"{v} {r}" for (v, _, r, _, _), yes in zip(_WANTED, answers, strict=True) if yes]
    found = [
        Finding(
            chosen.name,
            "rights",
            "ok" if may else "warn",
            f"in {where}: {', '.join(may) or 'none of those needed'}",
        )
    ]
    for (verb, _, resource, verdict, loss), yes in zip(_WANTED, answers, strict=True):
        if yes is False:
            found.append(
                Finding(chosen.name, "rights", _verdict(verdict), f"no {verb} {resource}: {loss}")
            )
        elif yes is None:
            found.append(Finding(chosen.name, "rights", "note", f"{verb} {resource}: no answer"))
    return found


def _verdict(text: str) -> Verdict:
    return "FAIL" if text == "FAIL" else "warn" if text == "warn" else "note"


async def _kinds(chosen: Chosen, connection: Connection, timeout: float) -> list[Finding]:
    try:
        served = await _bounded(discover(connection.kube), timeout)
    except McpTuiError as error:
        return [Finding(chosen.name, "kinds", "warn", error.line())]
    kinds = [k.kind for k in JOB_KINDS if (k.group, k.version, k.plural) in served]
    kueue = any(group == "kueue.x-k8s.io" for group, _, _ in served)
    words = ", ".join(kinds) + (", Kueue" if kueue else "; no Kueue")
    found = [Finding(chosen.name, "kinds", "ok", words)]
    for api in silent(served):
        what = f"{api} is registered, and its server does not answer"
        advice = "kubectl get apiservices says why"
        found.append(Finding(chosen.name, "kinds", "warn", what, advice))
    return found


async def _mlflow(name: str, connection: Connection, timeout: float) -> Finding | None:
    settings, client = connection.settings.mlflow, connection.mlflow
    if client is None or settings is None:
        return None
    where = _endpoint(settings)
    try:
        version = await _bounded(client.version(), timeout)
    except McpTuiError as error:
        return Finding(name, "mlflow", "FAIL", f"{where}: {error.line()}")
    return Finding(name, "mlflow", "ok", f"{where}, MLflow {clean_line(version) or 'unknown'}")


async def _prometheus(name: str, connection: Connection, timeout: float) -> Finding | None:
    settings, client = connection.settings.prometheus, connection.prometheus
    if client is None or settings is None:
        return None
    where = _endpoint(settings)
    try:
        info = await _bounded(client.build_info(), timeout)
    except McpTuiError as error:
        return Finding(name, "prometheus", "FAIL", f"{where}: {error.line()}")
    # A server that was built without its makefile does not know its version.
    version = clean_line(info.version) or f"of unknown version ({clean_line(info.go_version)})"
    return Finding(name, "prometheus", "ok", f"{where}, Prometheus {version}")


def _endpoint(endpoint: Endpoint) -> str:
    where = endpoint.url or f"service {endpoint.service}"
    return clean_line(f"{where} (from {endpoint.origin})")
