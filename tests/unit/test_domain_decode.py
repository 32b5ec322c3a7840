"""Typed decode: fast and slow ways agree, nothing unsafe comes through, odd fields hide nothing."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.domain import decode as decoding
from mcp_tui.domain.decode import DecodeError, UnfitError, decode
from mcp_tui.domain.kube import Event, Job, Pod, epoch
from mcp_tui.domain.kube_custom import (
    JobSet,
    PendingWorkloads,
    PyTorchJob,
    RayJob,
    TrainJob,
    Workload,
)
from mcp_tui.domain.kube_wire import ObjectList, Status, decode_watch, decode_watch_block
from mcp_tui.domain.text import clean
from mcp_tui.sources.mlflow import ExperimentPage, LoggedModelPage, RunPage
from mcp_tui.sources.mlflow.registry import ModelPage, VersionPage
from tests.unit.test_text import unsafe

T = TypeVar("T")

TYPES = [
    Job,
    Pod,
    Event,
    TrainJob,
    PyTorchJob,
    JobSet,
    RayJob,
    Workload,
    Status,
    ObjectList[Job],
    ObjectList[Pod],
    PendingWorkloads,
]
HOSTILE = st.text(
    alphabet=st.one_of(
        st.characters(), st.sampled_from('\x1b\x9b\x7f\u202e\u200b\x00\r\n\t[m<>&\\"')
    ),
    max_size=30,
)


def strings(value: Any) -> list[str]:
    """Every string anywhere in a decoded value, dict keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, msgspec.Struct):
        return [s for name in value.__struct_fields__ for s in strings(getattr(value, name))]
    if isinstance(value, dict):
        return [s for pair in value.items() for part in pair for s in strings(part)]
    if isinstance(value, list | tuple):
        return [s for item in value for s in strings(item)]
    return []


def job_with(text: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": text,
            "uid": text,
            "labels": {text: text},
            "annotations": {"mcp-tui.io/git-branch": text},
        },
        "spec": {"template": {"spec": {"containers": [{"name": text, "image": text}]}}},
        "status": {"conditions": [{"type": "Failed", "status": "True", "message": text}]},
    }


def go_json(value: Any, *, ascii_only: bool = False) -> bytes:
    """As the API server's encoder writes: <, > and & escaped."""
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "surrogatepass")


@given(HOSTILE, st.booleans())
def test_no_unsafe_character_survives(text: str, ascii_only: bool) -> None:
    found = decode(Job, go_json(job_with(text), ascii_only=ascii_only))
    assert not [s for s in strings(found) if any(unsafe(c) for c in s)]
    kept = clean(text.encode("utf-8", "replace").decode()) if not text.isascii() else clean(text)
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert found.metadata.name == kept
        assert found.metadata.labels == {kept: kept}
        assert found.status.conditions[0].message == kept


@given(HOSTILE)
def test_bytes_that_are_not_suspicious_hold_nothing_unsafe(text: str) -> None:
    for ascii_only in (True, False):
        raw = go_json({"a": text}, ascii_only=ascii_only)
        if not decoding.suspicious(raw):
            assert clean(text) == text


def test_the_byte_search_knows_every_character_that_text_calls_unsafe() -> None:
    everything = [chr(c) for c in range(0x80, 0x110000) if not 0xD800 <= c <= 0xDFFF]
    kept = set(clean("\n".join(everything), limit=0x400000))
    dropped = [c for c in everything if c not in kept]
    assert len(dropped) > 4_000
    missed = [hex(ord(c)) for c in dropped if not decoding.suspicious(f'"x{c}y"'.encode())]
    assert missed == []


def test_usual_text_takes_the_fast_way() -> None:
    usual = 'a "quoted" line\nand\ttabs, a \\ slash, <b>&</b>, Größe 日本語 ✗ 😀'
    assert not decoding.suspicious(go_json(job_with(usual)))
    assert decode(Job, go_json(job_with(usual))).status.conditions[0].message == usual


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | HOSTILE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "status",
                    "items",
                    "kind",
                    "name",
                    "labels",
                    "annotations",
                    "conditions",
                    "template",
                    "containers",
                    "ownerReferences",
                    "containerStatuses",
                    "state",
                    "terminated",
                    "exitCode",
                    "type",
                    "parallelism",
                    "resources",
                    "limits",
                    "mcp-tui.io/git-url",
                ]
            )
            | HOSTILE,
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=150)
@given(JSON, st.sampled_from(TYPES))
def test_any_json_decodes_or_is_refused_in_words(value: Any, type_: Any) -> None:
    raw = go_json(value)
    try:
        found = decode(type_, raw)
    except DecodeError as error:
        assert not isinstance(value, dict), error.line()
        assert "\n" not in error.line()
        return
    assert not [s for s in strings(found) if any(unsafe(c) for c in s)]


@given(st.binary(max_size=200), st.sampled_from(TYPES))
def test_any_bytes_decode_or_are_refused_in_words(raw: bytes, type_: Any) -> None:
    for data in (
        raw,
        b'{"metadata":{"name":"' + raw + b'"}}',
        b'{"items":[{"metadata":{"name":"' + raw + b'"}}]}',
    ):
        try:
            found = decode(type_, data)
        except DecodeError as error:
            assert not any(unsafe(c) or c == "\n" for c in error.line())
            continue
        assert not [s for s in strings(found) if any(unsafe(c) for c in s)]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[",
        b"[]",
        b"3",
        b"null",
        b'{"a":' * 5_000,
        b"{}x",
        b"<html>",
        b'{"metadata":' + b"9" * 6_000 + b"}",
    ],
)
def test_junk_is_one_line_of_error(raw: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(Job, raw)
    assert "\n" not in caught.value.line()
    assert caught.value.exit_code == 4


def test_deep_nesting_in_a_field_nobody_reads_is_refused_not_fatal() -> None:
    with pytest.raises(DecodeError):
        decode(Job, b'{"z":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_nulls_are_absent_fields() -> None:
    raw = go_json(
        {
            "metadata": {"name": "a", "labels": None, "ownerReferences": None},
            "spec": {
                "parallelism": None,
                "template": {"spec": {"containers": None, "initContainers": None}},
            },
            "status": None,
        }
    )
    found = decode(Job, raw)
    assert (found.metadata.name, found.metadata.labels, found.metadata.owner_references) == (
        "a",
        {},
        (),
    )
    assert found.spec.template.spec.containers == ()
    assert decode(ObjectList[Job], b'{"items":null}').items == []
    event = decode(
        Event,
        b'{"firstTimestamp":null,"lastTimestamp":null,"eventTime":"2026-11-23T03:02:11.123456Z","series":null}',
    )
    assert event.last_seen == epoch("2026-11-23T03:02:11.123456Z")


def test_a_field_of_another_type_is_left_out_and_nothing_else() -> None:
    raw = json.dumps(
        {
            "metadata": {
                "name": "a",
                "uid": {},
                "labels": {"x": 1, "y": "z"},
                "annotations": {"mcp-tui.io/git-url": [], "mcp-tui.io/git-branch": "b"},
            },
            "spec": {"parallelism": "3", "suspend": "true", "completions": {}},
            "status": {"active": 2.0, "failed": "many", "conditions": [{"type": "Failed"}, 7]},
        }
    ).encode()
    found = decode(Job, raw)
    assert found.metadata.name == "a"
    assert found.metadata.annotations.git_branch == "b"
    assert found.metadata.annotations.get("mcp-tui.io/git-url") == ""
    assert (found.spec.parallelism, found.spec.suspend, found.spec.completions) == (3, True, None)
    assert (found.status.active, found.status.failed, found.status.conditions) == (2, 0, ())


def test_one_odd_item_does_not_hide_the_others() -> None:
    items = [{"metadata": {"name": f"j{n}"}} for n in range(3)]
    items[1]["metadata"]["uid"] = 7  # type: ignore[assignment]  # on purpose
    raw = json.dumps(
        {"metadata": {"resourceVersion": "9", "continue": "abc"}, "items": [*items, 3, None]}
    ).encode()
    page = decode(ObjectList[Job], raw)
    assert [job.metadata.name for job in page.items] == ["j0", "j1", "j2"]
    assert (page.metadata.resource_version, page.metadata.continue_) == ("9", "abc")


@pytest.mark.parametrize(
    ("page", "field", "good", "odd"),
    [
        (
            RunPage,
            "runs",
            {"info": {"run_id": "a"}},
            {"info": {"run_id": "b", "start_time": "x"}, "data": {"metrics": 7}},
        ),
        (
            ExperimentPage,
            "experiments",
            {"experiment_id": "a"},
            {"experiment_id": "b", "creation_time": "x"},
        ),
        (
            ModelPage,
            "registered_models",
            {"name": "a"},
            {"name": "b", "last_updated_timestamp": "x"},
        ),
        (
            VersionPage,
            "model_versions",
            {"name": "a", "version": "1"},
            {"name": "b", "version": "2", "creation_timestamp": []},
        ),
        (
            LoggedModelPage,
            "models",
            {"info": {"model_id": "a"}},
            {"info": {"model_id": "b", "creation_timestamp_ms": {}}},
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("broken", [b"", b"\xff"], ids=["JSON", "not even JSON"])
def test_one_odd_item_of_a_page_of_mlflow_hides_no_others(
    page: Any, field: str, good: dict[str, Any], odd: dict[str, Any], broken: bytes
) -> None:
    raw = json.dumps({field: [good, odd, 3, None], "next_page_token": "t?"}).encode()
    found = decode(page, raw.replace(b"?", broken))
    first, second = getattr(found, field)
    assert isinstance(getattr(found, field), tuple)
    assert first == msgspec.convert(good, type(first))
    assert set(strings(second)) >= {"b"}
    assert found.next_page_token.startswith("t")


@pytest.mark.parametrize("listed", [3, "text", {"a": 1}, None])
def test_what_is_no_list_is_an_empty_one(listed: object) -> None:
    raw = json.dumps({"items": listed, "runs": listed, "next_page_token": "t"}).encode()
    assert decode(ObjectList[Job], raw).items == []
    assert decode(RunPage, raw) == RunPage(next_page_token="t")


def test_bad_utf_8_and_raw_controls_spoil_one_string_only() -> None:
    names = (b"a\xff\x01\x1b[31mb", b"\\ud800ok", b"c")
    raw = b'{"items":[' + b",".join(b'{"metadata":{"name":"%s"}}' % name for name in names) + b"]}"
    assert [job.metadata.name for job in decode(ObjectList[Job], raw).items] == [
        "a\ufffdb",
        "ok",
        "c",
    ]


def test_watch_lines() -> None:
    kind, job = decode_watch(
        Job, b'{"type":"ADDED","object":{"metadata":{"name":"a\\u001b[0m"}}}\n'
    )
    assert (kind, job.metadata.name) == ("ADDED", "a")  # type: ignore[union-attr]  # it is a Job
    kind, mark = decode_watch(
        Job,
        b'{"type":"BOOKMARK","object":{"kind":"Job","metadata":{"resourceVersion":"12","creationTimestamp":null}}}',
    )
    assert (kind, mark.metadata.resource_version) == ("BOOKMARK", "12")  # type: ignore[union-attr]  # it is a Job
    status = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410}
    gone = go_json({"type": "ERROR", "object": status})
    for type_ in (Job, Pod, Event):
        kind, said = decode_watch(type_, gone)
        assert isinstance(said, Status)
        assert (kind, said.code, said.reason) == ("ERROR", 410, "Expired")
    with pytest.raises(DecodeError):
        decode_watch(Job, b'{"type":"ADDED","object":{"metadata":')


_LINES = st.one_of(
    st.builds(
        lambda kind, name: go_json({"type": kind, "object": {"metadata": {"name": name}}}),
        st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "RENAMED", ""]),
        st.one_of(st.sampled_from(["a", "b c", "\u2192 caf\u00e9"]), HOSTILE),
    ),
    st.sampled_from([b"", b" ", b"{", b"[]", b"null", b'{"type":"ADDED"}', b'{"type":"ADDED","o']),
)


@given(st.lists(_LINES, max_size=6), st.booleans())
def test_a_block_of_lines_says_what_its_lines_say_or_leaves_it_to_them(
    lines: list[bytes], viewed: bool
) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    cut = whole.find(b"\n") + 1
    block = [whole] if not viewed else [whole[:cut], memoryview(whole)[cut:]]
    changes = decode_watch_block(Job, block)
    if changes is not None:
        each = [decode_watch(Job, line) for line in lines if line.strip()]
        assert [(change.type, change.object) for change in changes] == each


def test_a_block_of_usual_lines_is_decoded_at_once() -> None:
    line = go_json({"type": "ADDED", "object": {"metadata": {"name": "caf\u00e9 <a>"}}}) + b"\n"
    changes = decode_watch_block(Job, [line * 3])
    assert changes is not None
    assert [change.object.metadata.name for change in changes] == ["caf\u00e9 <a>"] * 3


@pytest.mark.parametrize("name", [rb"a\u001b[0m", b"a\xe2\x80\xae"], ids=["escape", "bidi"])
def test_what_is_unsafe_in_a_block_is_cleaned(name: bytes) -> None:
    usual = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
    changes = decode_watch_block(Job, [usual, usual.replace(b'"a"', b'"%s"' % name) + usual])
    assert changes is not None
    assert [change.object.metadata.name for change in changes] == ["a"] * 3


def test_of_a_block_each_line_stays_in_its_place_whichever_are_unsafe() -> None:
    for odds in product([False, True], repeat=5):
        names = [f"{number}{chr(27) if odd else ''}" for number, odd in enumerate(odds)]
        lines = [go_json({"type": "ADDED", "object": {"metadata": {"name": n}}}) for n in names]
        whole = b"\n".join(lines)
        for block in ([whole], [whole + b"\n"], [lines[0] + b"\n", b"\n".join(lines[1:])]):
            changes = decode_watch_block(Job, block)
            assert changes is not None
            assert "".join(change.object.metadata.name for change in changes) == "01234"


@pytest.mark.parametrize(
    "odd",
    [
        b'{"type":"ADDED","object":{"metadata":{"name":null}}}',
        b'{"type":"ERROR","object":{"kind":"Status","code":410}}',
        b'{"type":"ADDED","object":{"metadata"',
        b'{"type":"ADDED",\n"object":{"metadata":{"name":"a\\u001b[0m"}}}',
    ],
    ids=["null", "error", "torn", "escape in two lines"],
)
def test_one_odd_line_leaves_its_block_to_the_lines(odd: bytes) -> None:
    usual = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
    assert decode_watch_block(Job, [usual + odd + b"\n" + usual]) is None


def test_very_long_strings_are_bounded_where_they_are_cleaned() -> None:
    raw = go_json(job_with("\x1b" + "x" * 200_000), ascii_only=True)
    assert len(decode(Job, raw).status.conditions[0].message) < 70_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("1970-01-01T01:00:00+01:00", 0.0),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("1970-01-01T00:00:10", None),
        ("0000-00-00T00:00:00Z", None),
    ],
)
def test_epoch(text: str | None, seconds: float | None) -> None:
    assert epoch(text) == seconds


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def ray_job(name: str, more: bytes = b"") -> bytes:
    meta = b'"metadata":{"name":"%s","namespace":"d","uid":"u-%s","resourceVersion":"5"%s}'
    one, two = (b"", more) if more[:2] == b',"' else (more, b"")
    return b"{" + meta % (name.encode(), name.encode(), one) + two + b"}"


def page_of(*items: bytes) -> bytes:
    frame = b'{"kind":"RayJobList","metadata":{"resourceVersion":"9","continue":"c"},"items":[%s]}'
    return frame % b",".join(items)


TOO_DEEP = b',"spec":{"zzz":' + nested(1_100) + b"}"
IN_META = b', "managedFields":[{"fieldsV1":' + nested(9_000) + b"}]"


@pytest.mark.parametrize("bad", [TOO_DEEP, IN_META], ids=["in the spec", "in the metadata"])
@pytest.mark.parametrize("odd", [b"", b"\xff", b"\\ud800"], ids=["usual", "no UTF-8", "surrogate"])
def test_an_item_too_deep_for_a_parser_hides_no_other(bad: bytes, odd: bytes) -> None:
    good = b'{"metadata":{"name":"good' + odd + b'","labels":null}}'
    page = decode(ObjectList[RayJob], page_of(ray_job("a"), ray_job("bad", bad), good))
    assert [item.metadata.name.rstrip("\ufffd") for item in page.items] == ["a", "good"]
    (unread,) = page.unread
    meta = unread.metadata
    assert (meta.uid, meta.namespace, meta.name) == ("u-bad", "d", "bad")
    assert meta.resource_version == "5"
    assert (page.metadata.resource_version, page.metadata.continue_) == ("9", "c")


def test_depth_of_lists_in_a_field_nobody_reads() -> None:
    bad = b',"spec":{"zzz":' + b"[" * 500 + b"]" * 500 + b'},"status":7'
    page = decode(ObjectList[RayJob], page_of(ray_job("b", bad)))
    assert [item.metadata.name for item in page.items] == ["b"]
    assert str(decoding._loose(b"[" * 500 + b"]" * 500)).count("[") == decoding.MAX_DEPTH


@pytest.mark.parametrize("depth", [60, 65, 500])
@pytest.mark.parametrize(
    "odd", [b',"status":7', b',"status":null', b',"status":{"message":"\xff"}']
)
def test_depth_in_a_field_nobody_reads_costs_an_odd_item_nothing(depth: int, odd: bytes) -> None:
    bad = b',"spec":{"suspend":true,"zzz":' + nested(depth) + b"}" + odd
    page = decode(ObjectList[RayJob], page_of(ray_job("a"), ray_job("b", bad)))
    assert [item.metadata.name for item in page.items] == ["a", "b"]
    assert page.items[1].spec.suspend is True
    assert page.unread == []


@pytest.mark.parametrize(
    "spoilt", [b"", b'{"metadata":{"name":"\xff"}}'], ids=["usual", "no UTF-8"]
)
def test_an_item_with_too_many_odd_fields_is_known_by_its_name(spoilt: bytes) -> None:
    meta = {"name": "b", "uid": {}, "labels": {"x": "y"}}
    fields = {f"x{n}": n for n in range(3)}
    conditions = {"zzz": [fields], "spec": {"entrypoint": [], "suspend": []}}
    odd = json.dumps({"metadata": meta, **conditions}).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "_MAX_PRUNED", 2)
        page = decode(ObjectList[RayJob], page_of(ray_job("a"), odd, *filter(None, [spoilt])))
    assert [item.metadata.name for item in page.items][:1] == ["a"]
    assert [item.metadata.name for item in page.unread] == ["b"]
    assert page.unread[0].metadata.uid == ""


class Named(msgspec.Struct, Generic[T]):
    """A page that cannot say what was not read."""

    is_page: ClassVar[bool] = True

    items: list[T] = []


def test_a_page_that_cannot_say_what_was_not_read_leaves_nothing_out() -> None:
    raw = page_of(ray_job("a"), ray_job("b"))
    assert len(decode(Named[RayJob], raw).items) == 2
    with pytest.raises(UnfitError):
        decode(Named[RayJob], page_of(ray_job("a"), ray_job("bad", TOO_DEEP)))


def test_a_page_that_is_broken_elsewhere_is_refused_for_all_that() -> None:
    """What cannot be told from a deletion is no page."""
    deep = ray_job("bad", TOO_DEEP)
    whole = page_of(ray_job("a"), deep)
    assert len(decode(ObjectList[RayJob], whole).items) == 1
    for raw in (
        whole[:-1],
        whole + b"}",
        whole[:-3],
        page_of(deep, b'{"metadata":{"name":"b" 1}}'),
        page_of(deep, b"3"),
        page_of(deep, b"x"),
        page_of(deep, b"[]"),
        page_of(deep, b"null"),
        page_of(b'{"metadata":{"name":"a"},"spec":' + nested(1_100)[:-1] + b"]}"),
        page_of(b'{"metadata":{"uid" "x"},"spec":' + nested(1_100) + b"}"),
        b'{"items":[],"zzz":' + nested(1_100) + b"}",
        b'{"items":' + nested(1_100) + b"}",
        b"[" + whole + b"]",
    ):
        with pytest.raises(DecodeError):
            decode(ObjectList[RayJob], raw)


def test_an_event_too_deep_for_a_parser_is_no_broken_line() -> None:
    line = b'{"type":"MODIFIED","object":' + ray_job("bad", TOO_DEEP) + b"}"
    assert decode_watch_block(RayJob, [line + b"\n"]) is None
    with pytest.raises(UnfitError):
        decode_watch(RayJob, line)
    with pytest.raises(DecodeError) as broken:
        decode_watch(RayJob, b'{"type":"MODIFIED","object":{"metadata":[}}')
    assert not isinstance(broken.value, UnfitError)
