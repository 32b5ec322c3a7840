"""The demo's processes are led to nothing of the user's, and past no proxy to loopback."""

from __future__ import annotations

import pytest

from mcp_tui.demo.stack import own_environment


@pytest.mark.parametrize(
    "name",
    [
        "KUBECONFIG",
        "MLFLOW_TRACKING_URI",
        "MLFLOW_TRACKING_PASSWORD",
        "_MLFLOW_SGI_NAME",
        "MCP_TUI_CONFIG",
        "PROMETHEUS_URL",
        "GIT_DIR",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PYTHONINSPECT",
        "HTTPS_PROXY",
        "http_proxy",
        "All_Proxy",
    ],
)
def test_what_leads_to_the_users_own_is_left_out(name: str) -> None:
    assert name not in own_environment({name: "x", "PATH": "/bin"})


def test_the_rest_is_kept_and_loopback_goes_past_every_proxy() -> None:
    given = {"PATH": "/bin", "HOME": "/home/u", "LANG": "C.UTF-8", "NO_PROXY": "example.org"}
    found = own_environment(given)
    assert found == {
        "PATH": "/bin",
        "HOME": "/home/u",
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    assert given["NO_PROXY"] == "example.org", "what was given is not changed"
