"""Which proxy leads to a server: the kubeconfig's, else the environment's, as kubectl decides.

The rules of the Go package ``httpproxy``, which kubectl uses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from mcp_tui.errors import UsageError


def proxy_for(server: str, proxy_url: str, env: Mapping[str, str]) -> str:
    """The proxy's URL for ``server``, or an empty string for a direct connection.

    Args:
        server: The API server's URL.
        proxy_url: ``proxy-url`` of the kubeconfig; it wins over the environment.
        env: The environment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY in either case.
    """
    if proxy_url:
        return proxy_url
    parts = urlsplit(server)
    name = "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY"
    proxy = env.get(name) or env.get(name.lower()) or ""
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if not proxy or _is_loopback(host):
        return ""
    if _excluded(host, port, env.get("NO_PROXY") or env.get("no_proxy") or ""):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def unusable(where: str) -> UsageError:
    """The error of a proxy's URL that httpx does not take."""
    return UsageError(
        "the proxy's URL is not usable",
        where=where,
        hint="use http://host:port; SOCKS needs the socksio package",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _excluded(host: str, port: int, no_proxy: str) -> bool:
    address = _address(host)
    return any(
        _matches(host.lower().rstrip("."), port, address, item.strip().lower())
        for item in no_proxy.split(",")
        if item.strip()
    )


def _matches(
    host: str,
    port: int,
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
    item: str,
) -> bool:
    if item == "*":
        return True
    if "/" in item:
        try:
            return address is not None and address in ipaddress.ip_network(item, strict=False)
        except ValueError:
            return False
    name, _, wanted = item.rpartition(":")
    if name and wanted.isdigit() and (":" not in name or name.endswith("]")):
        if int(wanted) != port:
            return False
        item = name
    item = item.strip("[]")
    if address is not None:
        return _address(item) == address
    item = item.removeprefix("*")
    if item.startswith("."):
        return host.endswith(item)
    return host == item or host.endswith(f".{item}")
