"""Our kubeconfig loader: what it makes of files, beside the official client's."""

from __future__ import annotations

import base64
import copy
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcp_tui.errors import McpTuiError, UsageError
from mcp_tui.sources.kubernetes.contextinfo import ContextInfo
from mcp_tui.sources.kubernetes.credentials import Credentials, repeated_headers
from mcp_tui.sources.kubernetes.kubeconfig import Kubeconfig, load_kubeconfig
from tests.cluster.certs import Authority, Pair

SECRET = "s3cr3t-token"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("client", common_name="me", group="us")


def config(**changes: Any) -> dict[str, Any]:
    """A kubeconfig with one context; user and cluster fields are taken from ``changes``."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "ml"}},
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://10.1.2.3:6443", **changes.get("c", {})}},
        ],
        "users": [{"name": "u", "user": changes.get("u", {"token": SECRET})}],
    }


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def load(path: Path) -> Kubeconfig:
    return load_kubeconfig({"KUBECONFIG": str(path)})


def official(path: Path | str, context: str | None = None) -> Any:
    """What the official client makes of the same file."""
    from kubernetes import client as official_client
    from kubernetes import config as official_config

    configuration = official_client.Configuration()
    loader: Any = official_config.load_kube_config
    loader(config_file=str(path), context=context, client_configuration=configuration)
    return configuration


def sent_by(configuration: Any) -> str:
    """The Authorization header that the official client would send.

    It keeps the line end of a token file, which no server takes; kubectl and we strip it.
    """
    return str(configuration.auth_settings().get("BearerToken", {}).get("value", "")).strip()


async def authorization(info: ContextInfo) -> str:
    return (await Credentials(info, env=dict(os.environ)).headers()).get("Authorization", "")


def b64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def plugin(folder: Path, answer: str) -> dict[str, Any]:
    write(folder / "plugin.py", f"print({answer!r})\n")
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(folder / "plugin.py")],
        "interactiveMode": "Never",
    }


EXEC_ANSWER = (
    '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
    f'"status":{{"token":"{SECRET}"}}}}'
)


@pytest.mark.parametrize(
    "kind",
    ["token", "tokenFile", "basic", "cert data", "cert files", "exec", "insecure", "names", "path"],
)
async def test_the_same_as_the_official_client(
    tmp_path: Path, authority: Authority, pair: Pair, kind: str
) -> None:
    write(tmp_path / "token", SECRET + "\n")
    (tmp_path / "ca.crt").write_bytes(authority.cert.read_bytes())
    (tmp_path / "me.crt").write_bytes(pair.cert.read_bytes())
    (tmp_path / "me.key").write_bytes(pair.key.read_bytes())
    users: dict[str, dict[str, Any]] = {
        "token": {"token": SECRET},
        "tokenFile": {"tokenFile": "token"},
        "basic": {"username": "me", "password": "p:w"},
        "cert data": {"client-certificate-data": b64(pair.cert), "client-key-data": b64(pair.key)},
        "cert files": {"client-certificate": "me.crt", "client-key": "me.key"},
        "exec": {"exec": plugin(tmp_path, EXEC_ANSWER)},
    }
    clusters: dict[str, dict[str, Any]] = {
        "cert data": {"certificate-authority-data": b64(authority.cert)},
        "cert files": {"certificate-authority": "ca.crt"},
        "insecure": {"insecure-skip-tls-verify": True},
        "names": {"tls-server-name": "kubernetes", "proxy-url": "http://proxy:3128"},
        "path": {"server": "https://rancher.example/k8s/clusters/c-1/"},
    }
    user, cluster = users.get(kind, {"token": SECRET}), clusters.get(kind, {})
    path = write(tmp_path / "config", config(u=user, c=cluster))
    theirs = official(path)
    ours = load(path).context()

    assert ours.server == theirs.host.rstrip("/")
    assert ours.cluster_info.insecure == (not theirs.verify_ssl)
    assert ours.cluster_info.tls_server_name == (theirs.tls_server_name or "")
    assert ours.cluster_info.proxy_url == (theirs.proxy or "")
    assert await authorization(ours) == sent_by(theirs)
    ca = ours.cluster_info.ca_data or (
        ours.cluster_info.ca_file.read_bytes() if ours.cluster_info.ca_file else None
    )
    assert ca == (Path(theirs.ssl_ca_cert).read_bytes() if theirs.ssl_ca_cert else None)
    user_info = ours.user_info
    cert = user_info.cert_data or (
        user_info.cert_file.read_bytes() if user_info.cert_file else None
    )
    key = user_info.key_data or (user_info.key_file.read_bytes() if user_info.key_file else None)
    assert cert == (Path(theirs.cert_file).read_bytes() if theirs.cert_file else None)
    assert key == (Path(theirs.key_file).read_bytes() if theirs.key_file else None)
    assert (await Credentials(ours).tls()) is not None


def test_contexts_are_listed_as_by_the_official_client(tmp_path: Path) -> None:
    from kubernetes import config as official_config

    content = config()
    content["contexts"].append({"name": "there", "context": {"cluster": "c", "user": "u"}})
    path = write(tmp_path / "config", content)
    lister: Any = official_config.list_kube_config_contexts
    theirs, current = lister(str(path))
    ours = load(path)
    assert [each.name for each in ours.contexts()] == [each["name"] for each in theirs]
    assert ours.current == current["name"]
    assert [each.namespace for each in ours.contexts()] == ["ml", "default"]


def test_the_first_file_wins_and_paths_belong_to_their_file(
    tmp_path: Path, authority: Authority
) -> None:
    first, second = config(u={"token": "first"}), config(u={"token": "second"})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "ca.crt").write_bytes(authority.cert.read_bytes())
    second["current-context"] = "other"
    second["contexts"].append({"name": "other", "context": {"cluster": "d", "user": "v"}})
    second["clusters"].append(
        {"name": "d", "cluster": {"server": "https://d", "certificate-authority": "ca.crt"}}
    )
    second["users"].append({"name": "v", "user": {"exec": plugin(tmp_path, EXEC_ANSWER)}})
    second["users"][-1]["user"]["exec"]["command"] = "./bin/login"
    a, b = write(tmp_path / "a" / "config", first), write(tmp_path / "b" / "config", second)
    missing = tmp_path / "missing"
    env = {"KUBECONFIG": os.pathsep.join(["", str(missing), str(a), str(b), str(a)])}
    loaded = load_kubeconfig(env)
    assert loaded.files == (a, b)
    assert loaded.current == "here"
    assert loaded.names == ("here", "other")
    assert loaded.context().user_info.token == "first"
    other = loaded.context("other")
    assert other.cluster_info.ca_file == tmp_path / "b" / "ca.crt"
    assert other.user_info.exec is not None
    assert other.user_info.exec.command == str(tmp_path / "b" / "bin" / "login")
    assert other.user_info.method == "exec plugin"


def test_the_first_file_wins_as_in_kubectl(tmp_path: Path) -> None:
    """The official client merges several files too."""
    first, second = config(u={"token": "first"}), config(u={"token": "second"})
    del first["current-context"]
    second["users"].append({"name": "w", "user": {"token": "w"}})
    second["contexts"].append({"name": "more", "context": {"cluster": "c", "user": "w"}})
    paths = [write(tmp_path / name, each) for name, each in (("a", first), ("b", second))]
    both = ":".join(map(str, paths))
    ours = load_kubeconfig({"KUBECONFIG": both})
    for name, token in (("here", "first"), ("more", "w")):
        assert sent_by(official(both, name)) == f"Bearer {token}"
        assert ours.context(name).user_info.token == token
    assert ours.current == "here"


def test_home_is_the_default_and_then_the_service_account(tmp_path: Path, pair: Pair) -> None:
    path = write(tmp_path / ".kube" / "config", config())
    in_pod = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert load_kubeconfig(in_pod).files == (path,)
    path.unlink()
    account = tmp_path / "account"
    with pytest.raises(UsageError, match="service account is incomplete"):
        load_kubeconfig(in_pod, service_account=account)
    write(account / "token", SECRET)
    write(account / "namespace", "ml\n")
    (account / "ca.crt").write_bytes(pair.cert.read_bytes())
    loaded = load_kubeconfig(in_pod, service_account=account)
    info = loaded.context()
    assert (info.server, info.namespace) == ("https://[fd00::1]:443", "ml")
    assert info.user_info.token_file == account / "token"
    assert loaded.contexts() == (info,)
    with pytest.raises(UsageError, match="no kubeconfig"):
        load_kubeconfig({"HOME": str(tmp_path)})


def test_impersonation() -> None:
    content = config(
        u={
            "token": SECRET,
            "as": "jane",
            "as-uid": "7",
            "as-groups": ["a", "b"],
            "as-user-extra": {"Scopes/x": ["1", "2"]},
        }
    )
    info = resolve(content)
    who = info.user_info.impersonate
    assert repeated_headers(who) == [
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-scopes%2Fx", "1"),
        ("Impersonate-Extra-scopes%2Fx", "2"),
    ]


async def test_impersonation_headers() -> None:
    info = resolve(config(u={"token": SECRET, "as": "jane", "as-uid": "7"}))
    headers = await Credentials(info).headers()
    assert headers["Impersonate-User"] == "jane"
    assert headers["Impersonate-Uid"] == "7"
    assert headers["Authorization"] == f"Bearer {SECRET}"


_FOLDER: list[Path] = []


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    _FOLDER[:] = [tmp_path]


def resolve(content: object, name: str | None = None) -> ContextInfo:
    return load(write(_FOLDER[0] / "config", content)).context(name)


def changed(*path: Any, to: object) -> dict[str, Any]:
    content = copy.deepcopy(config())
    *parents, last = path
    node: Any = content
    for part in parents:
        node = node[part]
    node[last] = to
    return content


USER = ("users", 0, "user")
CLUSTER = ("clusters", 0, "cluster")
BAD: list[tuple[str, object, str, str]] = [
    ("empty", "", "the kubeconfig is empty", ""),
    ("only comments", "# nothing\n", "the kubeconfig is empty", ""),
    ("not yaml", "contexts:\n  - name: [a\n", "not YAML", ":3:1"),
    ("a tab", "contexts:\n\t- x\n", "not YAML", ":2:1"),
    ("text", "hello", "it holds text", ""),
    ("a list", "- a", "it holds a list", ""),
    ("nul", "a: \x00", "not YAML", ""),
    ("contexts", changed("contexts", to={"a": 1}), "contexts must be a list, not a mapping", ""),
    ("a context", changed("contexts", 0, to=3), "contexts[0] must be a mapping, not a number", ""),
    ("no current", changed("current-context", to=""), "no current context", "here"),
    ("unknown current", changed("current-context", to="her"), 'no context "her"', "mean here?"),
    ("unknown user", changed("contexts", 0, "context", "user", to="uu"), 'the user "uu"', "mean u"),
    ("unknown cluster", changed("contexts", 0, "context", "cluster", to="zz"), '"zz"', "are c"),
    ("no server", changed(*CLUSTER, "server", to=""), "not an http or https URL", ""),
    ("bad server", changed(*CLUSTER, "server", to="10.0.0.1:6443"), "not an http", ""),
    ("bad port", changed(*CLUSTER, "server", to="https://h:99999"), "not an http", ""),
    ("numeric token", changed(*USER, "token", to=12345), "token", "put it in quotes"),
    (
        "bad base64",
        changed(*CLUSTER, "certificate-authority-data", to="%%%"),
        'clusters[0].cluster.certificate-authority-data ("c") is not base64',
        "cut off",
    ),
    ("no ca", changed(*CLUSTER, "certificate-authority", to="no.crt"), "not there: ", ""),
    ("cert alone", changed(*USER, "client-certificate-data", to="YQ=="), "no client-key", ""),
    ("no token file", changed(*USER, "tokenFile", to="nope"), "not there: ", ""),
    ("flag", changed(*CLUSTER, "insecure-skip-tls-verify", to="yes"), "must be true or false", ""),
    ("both", changed(*USER, to={"token": "a", "username": "b"}), "both a token and a user", ""),
    ("old exec", changed(*USER, "exec", to={"command": "x", "apiVersion": "v0"}), "apiVersion", ""),
    ("exec of nothing", changed(*USER, "exec", to={"args": ["x"]}), "has no command", ""),
    ("provider", changed(*USER, to={"auth-provider": {"name": "gcp"}}), '"gcp"', "exec plugin"),
    ("as nobody", changed(*USER, "as-groups", to=["g"]), "but nobody", ""),
    (
        "twice",
        changed("users", to=[{"name": "u", "user": {}}, {"name": "u", "user": {}}]),
        'users names "u" twice',
        "",
    ),
    ("no name", changed("contexts", 0, "context", to=None), 'the cluster ""', ""),
]


@pytest.mark.parametrize(
    ("content", "what", "more"), [row[1:] for row in BAD], ids=[r[0] for r in BAD]
)
def test_bad_files_say_what_where_and_what_to_do(content: object, what: str, more: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(content)
    line = caught.value.line()
    assert what in line
    assert more in line
    assert str(_FOLDER[0]) in line
    assert line.isprintable()
    assert SECRET not in line
    assert "12345" not in line


def test_a_broken_context_hides_no_other(tmp_path: Path) -> None:
    content = config()
    content["contexts"].append({"name": "broken", "context": {"cluster": "x", "user": "u"}})
    content["contexts"].append({"name": "anonymous", "context": {"cluster": "c"}})
    loaded = load(write(tmp_path / "config", content))
    problems = {each.name: each.problem is not None for each in loaded.contexts()}
    assert problems == {"here": False, "broken": True, "anonymous": False}
    assert loaded.context("anonymous").user_info.method == "none"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no kubeconfig"):
        load(tmp_path / "missing")
    with pytest.raises(UsageError, match="none of the kubeconfig files"):
        load_kubeconfig({"KUBECONFIG": f"{tmp_path}/x:{tmp_path}/y"})
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        load(tmp_path / "binary")


def test_a_billion_laughs_is_only_a_bad_kubeconfig(tmp_path: Path) -> None:
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    with pytest.raises(UsageError, match="contexts"):
        load(write(tmp_path / "config", "\n".join([*lines, "contexts: [*a59]"])))


def test_names_made_of_escape_sequences(tmp_path: Path) -> None:
    content = config()
    content["contexts"][0]["name"] = "\x1b[31mred\u202e"
    loaded = load(write(tmp_path / "config", yaml.dump(content, allow_unicode=False)))
    with pytest.raises(McpTuiError) as caught:
        loaded.context("blue")
    assert caught.value.line().isprintable()


def test_secrets_are_in_no_repr(tmp_path: Path, pair: Pair) -> None:
    user = {"client-certificate-data": b64(pair.cert), "client-key-data": b64(pair.key)}
    for fields in (user, {"token": SECRET}, {"username": "me", "password": SECRET}):
        info = resolve(config(u=fields))
        shown = repr(info) + repr(Credentials(info)) + repr(load(tmp_path / "config"))
        assert SECRET not in shown
        assert "PRIVATE" not in shown


async def test_key_material_is_written_to_no_file(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = {"client-certificate-data": b64(pair.cert), "client-key-data": b64(pair.key)}
    info = resolve(config(u=user))
    paths: list[str] = []
    load_chain = ssl.SSLContext.load_cert_chain

    def noted(self: ssl.SSLContext, path: str, **options: Any) -> None:
        paths.append(path)
        load_chain(self, path, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", noted)
    assert await Credentials(info).tls() is not None
    assert paths
    assert not any(Path(path).exists() for path in paths)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert await Credentials(info).tls() is not None
    assert not any(Path(path).exists() for path in paths)


async def test_certificates_that_cannot_be_used(pair: Pair, authority: Authority) -> None:
    other = authority.issue("other", common_name="other")
    for cert, key, words in (
        (b64(pair.cert), b64(other.key), "do not belong together"),
        ("YWJj", b64(pair.key), "not usable PEM"),
    ):
        info = resolve(config(u={"client-certificate-data": cert, "client-key-data": key}))
        with pytest.raises(UsageError, match=words):
            await Credentials(info).tls()
    info = resolve(config(c={"certificate-authority-data": "YWJj"}))
    with pytest.raises(UsageError, match="not a PEM certificate"):
        await Credentials(info).tls()


def test_loading_is_light() -> None:
    """In a fresh interpreter: no yaml before a file is read, never httpx or kubernetes."""
    code = (
        "import sys, mcp_tui.sources.kubernetes.transport, mcp_tui.sources.kubernetes.reflector\n"
        "heavy = {'yaml', 'httpx', 'kubernetes', 'textual', 'rich', 'cryptography', 'websockets'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "from mcp_tui.sources.http import load_httpx\n"
        "load_httpx().AsyncClient\n"
        "print(sorted({'rich', 'click', 'pygments'} & set(sys.modules)))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.split() == ["[]", "[]"]
