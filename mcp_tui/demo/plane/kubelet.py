"""What goes on to the node of a pod: its logs, and exec and port-forward over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from mcp_tui.demo.plane.http import Answer, Receive, Request, Scope, Send
from mcp_tui.demo.plane.model import NODES, Obj, dig
from mcp_tui.demo.plane.status import (
    StatusError,
    bad_request,
    forbidden_value,
    internal,
    invalid,
    invalid_value,
    not_found,
)
from mcp_tui.demo.plane.store import Store

if TYPE_CHECKING:
    import httpx

_LOG_FLAGS = {
    "follow": "follow",
    "previous": "previous",
    "timestamps": "timestamps",
}
_LOG_NUMBERS = ("tailLines", "sinceSeconds", "limitBytes")
_SUBPROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


class KubeletProxy:
    """Reaches the kubelets of the registered nodes.

    Args:
        pair: Certificate and key shown to them, which they may check.
    """

    def __init__(self, store: Store, pair: tuple[str, str]) -> None:
        self._store = store
        self._pair = pair
        self._client: httpx.AsyncClient | None = None
        self._context: ssl.SSLContext | None = None

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            # As the API server does without --kubelet-certificate-authority: a kubelet's own
            # certificate is signed by nobody; we show it ours.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.load_cert_chain(*self._pair)
            self._context = context
        return self._context

    async def aclose(self) -> None:
        """Ends the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _address(self, pod: Obj) -> str:
        """``host:port`` of the pod's kubelet. Raises StatusError."""
        name = dig(pod, "spec", "nodeName")
        node = self._store.get(NODES, "", name)
        if node is None:
            raise not_found(NODES, name)
        obj = node.obj
        port = dig(obj, "status", "daemonEndpoints", "kubeletEndpoint", "Port")
        addresses = dig(obj, "status", "addresses") or []
        host = next((item["address"] for item in addresses if item["type"] == "InternalIP"), "")
        # Nodes are processes of this machine: nothing else is ever called from here.
        if host != "127.0.0.1" or not port:
            raise internal(f'node "{name}" has no kubelet on this machine')
        return f"{host}:{port}"

    # --- logs

    async def log(self, request: Request, pod: Obj) -> Answer:
        """Streams a container's log. Raises StatusError."""
        query = _log_query(request, pod["metadata"]["name"])
        container = _container(pod, request.query.get("container", ""))
        if not dig(pod, "spec", "nodeName"):
            return Answer(204)
        metadata = pod["metadata"]
        path = f"containerLogs/{metadata['namespace']}/{metadata['name']}/{container}"
        url = f"https://{self._address(pod)}/{path}"
        if query:
            url += "?" + urlencode(query)
        response = await self._open(url, pod)
        return Answer(stream=_chunks(response), content_type="text/plain")

    async def _open(self, url: str, pod: Obj) -> httpx.Response:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=self._tls(),
                trust_env=False,
                # A followed log is silent for as long as the container is.
                timeout=httpx.Timeout(10.0, read=None),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=4),
            )
        try:
            async with asyncio.timeout(10):
                response = await self._client.send(
                    self._client.build_request("GET", url), stream=True
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise internal(f'Get "{url}": {error or "deadline exceeded"}') from None
        if response.status_code == 200:
            return response
        try:
            async with asyncio.timeout(5):
                text = (await response.aread())[:2048].decode(errors="replace").strip()
        except (httpx.HTTPError, TimeoutError):
            text = ""
        finally:
            await response.aclose()
        raise _kubelet_error(response.status_code, text, pod)

    # --- exec

    async def exec(
        self, request: Request, pod: Obj, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Joins the client's WebSocket to the kubelet's. Raises StatusError before that."""
        offered = [name for name in scope.get("subprotocols") or () if name in _SUBPROTOCOLS]
        if not offered:
            raise bad_request("unable to upgrade: unsupported subprotocol")
        if dig(pod, "status", "phase") in ("Succeeded", "Failed"):
            phase = dig(pod, "status", "phase")
            raise bad_request(
                f"cannot exec into a container in a completed pod; current phase is {phase}"
            )
        if not dig(pod, "spec", "nodeName"):
            raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        container = _container(pod, request.query.get("container", ""))
        metadata = pod["metadata"]
        wanted = [
            (_EXEC.get(name, name), "1" if name in _EXEC else value)
            for name, value in request.pairs
            if (name in _EXEC and value.lower() in ("1", "true")) or name == "command"
        ]
        path = f"exec/{metadata['namespace']}/{metadata['name']}/{quote(container)}"
        url = f"wss://{self._address(pod)}/{path}?{urlencode(wanted)}"
        await self._pass_on(url, offered, receive, send)

    async def port_forward(
        self, request: Request, pod: Obj, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """As :meth:`exec`, for ports: only the older protocol, which a kubelet speaks itself."""
        offered = [name for name in scope.get("subprotocols") or () if name == _SUBPROTOCOLS[1]]
        if not offered:
            raise bad_request("unable to upgrade: unsupported subprotocol")
        if not dig(pod, "spec", "nodeName"):
            raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        ports = [value for name, value in request.pairs if name == "ports"]
        if not ports or not all(p.isdigit() and 0 < int(p) < 65_536 for p in ports):
            raise bad_request('query parameter "ports" is required, and is one port or several')
        metadata = pod["metadata"]
        query = urlencode([("port", port) for port in ports])
        path = f"portForward/{metadata['namespace']}/{metadata['name']}"
        await self._pass_on(f"wss://{self._address(pod)}/{path}?{query}", offered, receive, send)

    async def _pass_on(self, url: str, offered: list[Any], receive: Receive, send: Send) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, WebSocketException

        try:
            kubelet = await connect(
                url,
                ssl=self._tls(),
                subprotocols=offered,
                compression=None,
                proxy=None,
                open_timeout=10,
                max_size=None,
            )
        except (InvalidHandshake, OSError, TimeoutError) as error:
            raise internal(f"error dialing backend: {error}") from None
        try:
            await receive()  # the connect message
            await send({"type": "websocket.accept", "subprotocol": kubelet.subprotocol})
            await _join(kubelet, receive, send)
        finally:
            with contextlib.suppress(WebSocketException, OSError):
                await kubelet.close()


_EXEC = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}


async def _join(kubelet: Any, receive: Receive, send: Send) -> None:
    """Copies frames both ways until either side ends."""
    from websockets.exceptions import ConnectionClosed

    async def up() -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            await kubelet.send(data if data is not None else message["text"])

    async def down() -> None:
        async for frame in kubelet:
            key = "bytes" if isinstance(frame, bytes) else "text"
            await send({"type": "websocket.send", key: frame})
        await send({"type": "websocket.close", "code": 1000})

    tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(
                asyncio.CancelledError, ConnectionClosed, OSError, RuntimeError
            ):
                await task


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    import httpx

    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx.HTTPError:
        # The node went away: the log ends here, as it does upstream.
        return
    finally:
        await response.aclose()


def _log_query(request: Request, pod: str) -> dict[str, str]:
    """The kubelet's parameters. Raises StatusError 400, 422."""
    given = request.query
    query: dict[str, str] = {}
    for name, theirs in _LOG_FLAGS.items():
        if given.get(name, "").lower() in ("1", "true"):
            query[theirs] = "true"
    for name in _LOG_NUMBERS:
        text = given.get(name)
        if text is None:
            continue
        if not text.lstrip("-").isdigit():
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        least = 0 if name == "tailLines" else 1
        if int(text) < least:
            why = (
                f"must be greater than or equal to {least}"
                if not least
                else "must be greater than 0"
            )
            raise invalid("PodLogOptions", pod, [invalid_value(name, int(text), why)])
        query[name] = text
    if given.get("sinceTime"):
        if "sinceSeconds" in given:
            fault = forbidden_value(
                "", "at most one of `sinceTime` or `sinceSeconds` may be specified"
            )
            raise invalid("PodLogOptions", pod, [fault])
        query["sinceTime"] = given["sinceTime"]
    return query


def _container(pod: Obj, asked: str) -> str:
    """The container's name. Raises StatusError 400 where it is not clear or not there."""
    name = pod["metadata"]["name"]
    spec = pod["spec"]
    main = [item["name"] for item in spec.get("containers") or ()]
    initial = [item["name"] for item in spec.get("initContainers") or ()]
    if asked:
        if asked not in main and asked not in initial:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(main) + len(initial) == 1:
        return str(main[0])
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]"
    if initial:
        text += f" or one of the init containers: [{' '.join(initial)}]"
    raise bad_request(text)


def _kubelet_error(code: int, text: str, pod: Obj) -> StatusError:
    if code == 400:
        return bad_request(text)
    name = pod["metadata"]["name"]
    if code == 404:
        shown = f"the server could not find the requested resource ( pods/log {name})"
        return StatusError(404, "NotFound", shown, details={"name": name, "kind": "pods/log"})
    return internal(f"the node answered {code}: {text}")
