"""The API server's front: authentication, authorisation, routing, verbs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_tui.demo.plane import authz
from mcp_tui.demo.plane.discovery import REVIEWS, Discovery
from mcp_tui.demo.plane.documents import Documents
from mcp_tui.demo.plane.http import (
    Answer,
    BodyError,
    DisconnectError,
    Message,
    Receive,
    Request,
    Scope,
    Send,
    error_answer,
    form_of,
    head,
    json_answer,
)
from mcp_tui.demo.plane.kubelet import KubeletProxy
from mcp_tui.demo.plane.model import NAMESPACES, PODS, Kind, Obj, rfc3339
from mcp_tui.demo.plane.options import read_options
from mcp_tui.demo.plane.reading import Form, Reader
from mcp_tui.demo.plane.registry import Registry
from mcp_tui.demo.plane.status import (
    StatusError,
    bad_request,
    internal,
    method_not_allowed,
    no_such_path,
    not_found,
    unauthorized,
)
from mcp_tui.demo.plane.tables import column_definitions, partial, row
from mcp_tui.demo.plane.writing import Writer, check_dry_run

_LOG = logging.getLogger(__name__)

_STALL_SECONDS = 60.0
"""A reader that takes nothing for that long is dropped."""

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

_STREAMS = {"exec": "exec", "portforward": "port_forward"}
"""Sub-resources of pods that are WebSockets, and what serves them."""


@dataclass(frozen=True)
class Target:
    """What a path names."""

    kind: Kind
    namespace: str | None
    name: str = ""
    subresource: str = ""


class Api:
    """An ASGI application."""

    def __init__(
        self,
        *,
        kinds: Sequence[Kind],
        directory: authz.Directory,
        registry: Registry,
        reader: Reader,
        kubelet: KubeletProxy,
    ) -> None:
        self.discovery = Discovery(kinds)
        self.documents = Documents(self.discovery)
        self.directory = directory
        self.registry = registry
        self.reader = reader
        self.kubelet = kubelet
        self.writer = Writer(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except StatusError as error:
            answer = error_answer(error)
        except DisconnectError:
            return
        except Exception as error:  # noqa: BLE001 - a defect is a 500, never a hung client
            _LOG.exception("%s %s", request.method, request.path)
            answer = error_answer(internal(type(error).__name__))
        await send(head(answer))
        if answer.stream is None:
            await send({"type": "http.response.body", "body": answer.body})
        else:
            await _stream(answer, receive, send)

    async def _answer(self, request: Request) -> Answer:
        identity = self.directory.identify(request.headers.get("authorization", ""))
        if identity is None:
            raise unauthorized()
        plain = self.documents.answer(request)
        if plain is not None:
            return plain
        parts = request.path.strip("/").split("/")
        review = _review_of(parts)
        if review is not None:
            return await self._review(request, identity, *review)
        target = self._target(parts)
        return await self._serve(request, identity, target)

    async def _review(
        self, request: Request, identity: authz.Identity, group: str, resource: str
    ) -> Answer:
        if request.method != "POST":
            raise method_not_allowed()
        authz.check(identity, authz.Attributes("create", group, resource))
        kind = REVIEWS[group, resource]
        try:
            review = await request.decoded()
        except BodyError as error:
            raise bad_request(f"the object provided is unrecognized: {error}") from None
        if not isinstance(review, dict) or review.get("kind", kind) != kind:
            raise bad_request(f"the object provided is unrecognized (must be of type {kind})")
        spec = review.get("spec") or {}
        status: Obj
        if resource == "selfsubjectaccessreviews":
            status = authz.access_review(identity, spec)
        elif resource == "selfsubjectrulesreviews":
            status = authz.rules_review(identity)
        else:
            status = {"userInfo": {"username": identity.name, "groups": list(identity.groups)}}
        made: Obj = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {}}
        if resource == "selfsubjectreviews":
            made["metadata"]["creationTimestamp"] = rfc3339(self.registry.clock())
        else:
            made["spec"] = {} if resource == "selfsubjectrulesreviews" else spec
        return json_answer({**made, "status": status}, 201)

    # --- objects

    def _target(self, parts: list[str]) -> Target:
        """Raises StatusError 404."""
        match parts:
            case ["api", version_, *rest]:
                group = ""
            case ["apis", group, version_, *rest]:
                pass
            case _:
                raise no_such_path()
        kinds = self.discovery.kinds(group, version_)
        if kinds is None:
            raise no_such_path()
        namespace: str | None = None
        if rest[:1] == ["namespaces"] and len(rest) >= 3 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        kind = next((item for item in kinds if item.plural == rest[0]), None) if rest else None
        name, sub = (*rest[1:], "", "")[:2]
        cluster_wide = kind is not None and namespace is None and not name
        if (
            kind is None
            or len(rest) > 3
            or (kind.namespaced is not (namespace is not None) and not cluster_wide)
            or "" in rest
        ):
            raise no_such_path()
        if sub and sub not in kind.subresources:
            raise no_such_path()
        return Target(kind, namespace, name, sub)

    async def _serve(self, request: Request, identity: authz.Identity, target: Target) -> Answer:
        kind = target.kind
        verb = _verb(request, target)
        authz.check(
            identity,
            authz.Attributes(
                verb=verb,
                group=kind.group,
                resource=kind.plural,
                subresource=target.subresource,
                namespace=target.name if kind is NAMESPACES else target.namespace or "",
                name=target.name,
            ),
        )
        allowed = kind.subresources[target.subresource] if target.subresource else kind.verbs
        if verb not in allowed:
            raise method_not_allowed()
        if target.subresource == "log":
            pod = self.registry.get(PODS, target.namespace or "", target.name).obj
            return await self.kubelet.log(request, pod)
        if target.subresource in _STREAMS:
            raise bad_request("Upgrade request required")
        form = form_of(request)
        if verb in ("list", "watch"):
            return self._read(request, target, verb, form)
        if verb == "get":
            entry = self.registry.get(kind, target.namespace or "", target.name)
            return self._shown(kind, entry.obj, form)
        return await self._write(request, target, verb, form)

    def _read(self, request: Request, target: Target, verb: str, form: Form) -> Answer:
        options = read_options(target.kind, request.query, name=target.name)
        if verb == "list":
            return Answer(body=self.reader.page(target.kind, target.namespace, options, form))
        stream = self.reader.watch(target.kind, target.namespace, options, form)
        return Answer(stream=stream)

    async def _write(self, request: Request, target: Target, verb: str, form: Form) -> Answer:
        kind, namespace = target.kind, target.namespace
        if kind.namespaced and namespace is None:
            raise method_not_allowed()
        dry_run = check_dry_run(request.query, verb)
        place = (kind, namespace or "", target.name)
        if verb == "delete":
            return await self.writer.delete(request, *place, dry_run=dry_run)
        if verb == "create":
            made, code, warnings = await self.writer.create(request, *place, dry_run=dry_run)
        else:
            make = self.writer.update if verb == "update" else self.writer.patch
            made, code, warnings = await make(
                request, *place, subresource=target.subresource, dry_run=dry_run
            )
        return self._shown(kind, made, form, code, warnings)

    def _shown(
        self,
        kind: Kind,
        obj: Obj,
        form: Form,
        code: int = 200,
        warnings: list[str] | None = None,
    ) -> Answer:
        if form.shape == "Table":
            version_ = obj["metadata"].get("resourceVersion", "")
            obj = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": version_},
                "columnDefinitions": column_definitions(kind),
                "rows": [row(kind, obj, self.registry.clock(), form.include)],
            }
        elif form.shape:
            obj = partial(obj)
        return json_answer(obj, code, warnings)

    # --- websockets: exec and port-forward

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request({**scope, "method": "GET"}, receive)
        try:
            identity = self.directory.identify(request.headers.get("authorization", ""))
            if identity is None:
                raise unauthorized()
            target = self._target(request.path.strip("/").split("/"))
            if target.subresource not in _STREAMS:
                raise no_such_path()
            wanted = authz.Attributes(
                "get", "", "pods", target.subresource, target.namespace or "", target.name
            )
            # A WebSocket is opened by GET, and can do what create can: both are asked for.
            authz.check(identity, wanted)
            authz.check(identity, authz.Attributes("create", *_rest(wanted)))
            entry = self.registry.store.get(PODS, target.namespace or "", target.name)
            if entry is None:
                raise not_found(PODS, target.name)
            stream = getattr(self.kubelet, _STREAMS[target.subresource])
            await stream(request, entry.obj, scope, receive, send)
        except StatusError as error:
            await _refuse_websocket(scope, error, send)


def _rest(wanted: authz.Attributes) -> tuple[str, str, str, str, str]:
    return wanted.group, wanted.resource, wanted.subresource, wanted.namespace, wanted.name


async def _refuse_websocket(scope: Scope, error: StatusError, send: Send) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    answer = error_answer(error)
    await send({**head(answer), "type": "websocket.http.response.start"})
    await send({"type": "websocket.http.response.body", "body": answer.body})


def _review_of(parts: list[str]) -> tuple[str, str] | None:
    match parts:
        case ["apis", group, "v1", resource] if (group, resource) in REVIEWS:
            return group, resource
        case _:
            return None


def _verb(request: Request, target: Target) -> str:
    """Raises StatusError 405 for a method that is no verb."""
    watching = request.query.get("watch", "").lower() in ("1", "true")
    if request.method in ("GET", "HEAD"):
        if watching and not target.name:
            return "watch"
        return "get" if target.name else "list"
    verb = _VERBS.get(request.method)
    if verb is None:
        raise method_not_allowed()
    if not target.name and verb == "delete":
        return "deletecollection"
    if bool(target.name) is (verb == "create") and target.subresource not in _STREAMS:
        raise method_not_allowed()
    return verb


async def _stream(answer: Answer, receive: Receive, send: Send) -> None:
    """Sends the chunks until they end or the client goes away."""
    assert answer.stream is not None
    stream = answer.stream

    async def pump() -> None:
        async for chunk in stream:
            message: Message = {"type": "http.response.body", "body": chunk, "more_body": True}
            # A reader that has stalled must not keep history and memory alive for ever.
            async with asyncio.timeout(_STALL_SECONDS):
                await send(message)
        await send({"type": "http.response.body", "body": b""})

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    # Whatever ends first ends the other.
    tasks = [asyncio.ensure_future(pump()), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, TimeoutError, OSError):
                await task
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
