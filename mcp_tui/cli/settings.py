"""What the common options come to: the configuration and the kubeconfig's chosen contexts."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Final

import msgspec

from mcp_tui.config import Config, ContextConfig, load
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError
from mcp_tui.sources.kubernetes.contextinfo import ContextInfo
from mcp_tui.sources.kubernetes.kubeconfig import Kubeconfig, load_kubeconfig

# RFC 1123's label, as the API server wants it.
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def configuration(args: argparse.Namespace) -> Config:
    """The configuration with the common options laid over it.

    Raises:
        UsageError: The file says something wrong.
    """
    config = load(Path(args.config_file) if args.config_file else None, os.environ)
    return msgspec.structs.replace(
        config,
        read_only=config.read_only or args.read_only,
        no_color=config.no_color or args.no_color,
        theme=getattr(args, "theme", "") or config.theme,
        profile=getattr(args, "profile", "") or config.profile,
    )


def kubeconfig(args: argparse.Namespace) -> Kubeconfig:
    """The kubeconfig, of ``--kubeconfig`` or the environment.

    Raises:
        UsageError: There is none, or it cannot be read.
    """
    return load_kubeconfig(os.environ, Path(args.kubeconfig) if args.kubeconfig else None)


def named_contexts(args: argparse.Namespace) -> tuple[str, ...]:
    """The names in ``--context``, each once; none where it is not given."""
    return tuple(dict.fromkeys(n.strip() for n in (args.context or "").split(",") if n.strip()))


def chosen_names(args: argparse.Namespace, kubeconfig: Kubeconfig) -> tuple[str, ...]:
    """The names in ``--context``, or the current context.

    Raises:
        UsageError: No context is given and none is current.
    """
    if args.context:
        names = named_contexts(args)
    else:
        names = (kubeconfig.current,) if kubeconfig.current else ()
    if not names:
        known = ", ".join(c.name for c in kubeconfig.contexts()) or "none"
        raise UsageError(
            "no context is chosen", where="kubeconfig", hint=f"use --context; known: {known}"
        )
    return names


class Chosen(msgspec.Struct, frozen=True):
    """One context as it will be used."""

    info: ContextInfo
    config: ContextConfig
    namespace: str | None

    @property
    def name(self) -> str:
        """The context's name."""
        return self.info.name


def asked_namespace(args: argparse.Namespace) -> str:
    """What ``--namespace`` says; empty when it is not given.

    Raises:
        UsageError: It cannot be a namespace: no call is made with it.
    """
    asked: str = args.namespace or ""
    if asked and not _NAMESPACE.fullmatch(asked):
        raise UsageError(
            f"{clean_line(asked)!r} cannot be a namespace",
            where="--namespace",
            hint="small letters, digits and dashes",
        )
    return asked


def chosen(args: argparse.Namespace) -> tuple[Chosen, ...]:
    """The contexts to work on, each with its settings and namespace (None: all of them).

    Raises:
        UsageError: Unknown context, or a configuration that says something wrong.
    """
    config, kube = configuration(args), kubeconfig(args)
    result = []
    for name in chosen_names(args, kube):
        info = kube.context(name)
        settings = config.for_context(
            name, os.environ, extension=info.extension, origin=info.origin
        )
        namespace = asked_namespace(args) or settings.namespace or info.namespace or "default"
        result.append(Chosen(info, settings, None if args.all_namespaces else namespace))
    return tuple(result)


def one(args: argparse.Namespace) -> Chosen:
    """The one context of a command that acts on a single cluster.

    Raises:
        UsageError: Several were named, or all namespaces.
    """
    contexts = chosen(args)
    if len(contexts) != 1:
        raise UsageError("this command takes one context", where="--context")
    if contexts[0].namespace is None:
        raise UsageError("this command takes one namespace", where="--all-namespaces")
    return contexts[0]
