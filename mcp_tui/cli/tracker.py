"""MLflow for a command that only reads it: through a context, or by its address alone in CI."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import AsyncIterator

import msgspec

from mcp_tui.cli.output import Printer
from mcp_tui.cli.settings import configuration, kubeconfig, one
from mcp_tui.config import Config, ContextConfig
from mcp_tui.errors import UsageError
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient


class Tracker:
    """What such a command works with.

    Attributes:
        client: Its gate lets only reads leave.
        settings: The context's; of none where MLflow is known by its address alone.
        connection: To the cluster that goes with it; None where there is none.
    """

    def __init__(
        self,
        client: MlflowClient,
        config: Config,
        settings: ContextConfig,
        printer: Printer,
        connection: Connection | None = None,
    ) -> None:
        self.connection = connection
        self.client = client
        self.config = config
        self.settings = settings
        self.printer = printer


@contextlib.asynccontextmanager
async def open_tracker(args: argparse.Namespace) -> AsyncIterator[Tracker]:
    """MLflow of the chosen context; where there is no kubeconfig, of ``MLFLOW_TRACKING_URI``.

    Raises:
        UsageError: The options do not say which, the configuration is wrong, or there is none.
    """
    config = configuration(args)
    printer = Printer(color=False if config.no_color else None)
    if _address_alone(args):
        settings = config.for_context("", os.environ)
        if settings.mlflow is None:
            kubeconfig(args)  # says what is missing
            raise UsageError("no MLflow is known", hint="set MLFLOW_TRACKING_URI")
        gate = Gate(read_only=True)
        client = MlflowClient(connect("mlflow", settings.mlflow, gate=gate, env=os.environ))
        try:
            yield Tracker(client, config, settings, printer)
        finally:
            await client.aclose()
        return
    chosen = one(args)
    settings = msgspec.structs.replace(chosen.config, read_only=True)
    connection = Connection(chosen.info, settings)
    try:
        if connection.mlflow is None:
            await connection.find_endpoints(chosen.namespace)
        if connection.mlflow is None:
            raise UsageError(
                "no MLflow is configured or found",
                where=chosen.name,
                hint="name it in the configuration, or set MLFLOW_TRACKING_URI",
            )
        yield Tracker(connection.mlflow, config, settings, printer, connection)
    finally:
        await connection.aclose()


def _address_alone(args: argparse.Namespace) -> bool:
    """Whether no cluster is spoken of, and none is there to speak of."""
    if args.context or args.kubeconfig or os.environ.get("KUBECONFIG"):
        return False
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return False
    try:
        kubeconfig(args)
    except UsageError:
        return True
    return False
