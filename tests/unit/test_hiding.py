"""Credentials in what servers say: gone in every writing of them, and wherever a text is cut."""

from __future__ import annotations

import base64
import html
import json
import threading
from urllib.parse import quote

import pytest

from mcp_tui.sources.hiding import HIDDEN, Secrets
from mcp_tui.sources.kubernetes.failures import api_error, explain, not_json
from mcp_tui.sources.reply import Reply

TOKEN = "sha256~Qn7/Xv+3kd&Lw9=="
PASSWORD = 'p"w <ü> 12%'


def secrets() -> Secrets:
    known = Secrets()
    known.learn(TOKEN)
    known.learn_pair("alice", PASSWORD)
    return known


@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
def test_every_writing_of_a_secret_is_hidden(secret: str) -> None:
    raw = secret.encode()
    pair = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    for form in (
        *(secret, quote(secret, safe=""), html.escape(secret), json.dumps(secret)[1:-1], pair),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
    ):
        said = secrets().hide(f"sent <{form}>, twice <{form}>!")
        assert said.replace("=", "") == f"sent <{HIDDEN}>, twice <{HIDDEN}>!"
    assert TOKEN not in repr(secrets()) and PASSWORD not in repr(secrets())


def test_what_is_no_secret_stays() -> None:
    known = Secrets()
    known.learn("", "admin", "no")
    known.learn_pair("alice", "")
    known.learn_url("http://[::1")
    known.learn_url("http://proxy:3128")
    words = "no, the admin alice has nothing for http://proxy:3128 YWxpY2U6"
    assert known.hide(words) == words
    assert secrets().hide("a token sha256 of alice") == "a token sha256 of alice"


def test_of_a_secret_that_somebody_else_has_cut_no_half_is_left() -> None:
    for end in range(len(TOKEN)):
        left = secrets().hide(f"Bearer {TOKEN[:end]}... and so on")
        assert len(TOKEN[:end]) < 12 or left == f"Bearer {HIDDEN}... and so on", left


def test_the_newest_are_known() -> None:
    known = Secrets()
    fixed = [f"token-{number:04}" for number in range(30)]
    for each in fixed:
        known.learn(each, fixed[0])
    assert known.hide(fixed[0]) == known.hide(fixed[-1]) == known.hide(fixed[-2]) == HIDDEN
    known.learn_url("http://u:p%40ss-word@127.0.0.1:1")
    assert known.hide("p@ss-word, p%40ss-word") == f"{HIDDEN}, {HIDDEN}"


def _texts() -> list[str]:
    """A secret wherever a text may be cut, and with what nobody sees in its midst."""
    around = [*range(150, 310, 7), *range(4_050, 4_100, 3), 8_180]
    return [
        *("x" * number + TOKEN for number in around),
        TOKEN[:5] + "\u200b" + TOKEN[5:],
        TOKEN[:9] + "\x1b[31m" + TOKEN[9:] + "\x1b[0m",
    ]


@pytest.mark.parametrize("text", _texts())
def test_no_part_of_one_is_in_an_error(text: str) -> None:
    hide = secrets().hide
    page = f"<html><title>{html.escape(text)}</title>"
    bodies = [
        ("application/json", json.dumps({"message": text, "reason": text})),
        ("application/json", json.dumps({"error": text, "errorType": text})),
        ("text/plain", text),
        ("text/html", page),
        ("text/html", "x" * 4_000 + page),
        ("text/html; charset=utf-8", text.replace("<", "")),
        (text, "<"),
    ]
    said = []
    for kind, body in bodies:
        headers = {"content-type": kind, "location": f"http://{text}@h.example/{text}"}
        for status in (302, 401, 500):
            error = api_error(status, headers, body.encode(), where="w", hide=hide)
            said += [error.line(), error.reason]
        said.append(not_json(Reply(200, headers, body.encode(), hide), where="w").line())
    said += explain(ValueError(text), server="http://h.example", hide=hide)
    said += explain(type("ProxyError", (Exception,), {})(text), server="http://h", hide=hide)
    for each in said:
        assert TOKEN[:8] not in each and TOKEN[-8:] not in each, each[-300:]


def test_words_that_begin_as_a_password_does_stay() -> None:
    known = Secrets()
    known.learn("password1234", "changeme1")
    words = "wrong password for admin; passwords do not match; please changeme"
    assert known.hide(words) == words
    assert known.hide("sent password1234, changeme1") == f"sent {HIDDEN}, {HIDDEN}"
    body = json.dumps({"message": "no", "reason": "Unauthorized"}).encode()
    known.learn("Unauthorized")
    assert api_error(401, {}, body, where="w", hide=known.hide).reason == "Unauthorized"


def test_they_are_learnt_while_words_are_looked_through() -> None:
    """Token files are read in threads."""
    known = Secrets()
    known.learn(*(f"secret-{number}" for number in range(16)))
    over = threading.Event()

    def learn() -> None:
        while not over.is_set():
            for number in range(16):
                known.learn(f"secret-{number}")

    threads = [threading.Thread(target=learn) for _ in range(3)]
    for each in threads:
        each.start()
    try:
        assert {known.hide("a secret-7 b") for _ in range(2_000)} == {f"a {HIDDEN} b"}
    finally:
        over.set()
        for each in threads:
            each.join()
