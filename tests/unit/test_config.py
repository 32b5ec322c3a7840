"""The configuration: what it says, and how it says no."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_tui.config import Config, ContextConfig, Tier, config_path, guess_tier, load
from mcp_tui.errors import UsageError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_absent_is_empty_unless_named(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    assert load(None, env).contexts == {}
    with pytest.raises(UsageError, match="no such configuration file"):
        load(tmp_path / "config.toml", env)
    with pytest.raises(UsageError, match="no such configuration file"):
        load(None, {**env, "MCP_TUI_CONFIG": str(tmp_path / "x.toml")})


def test_full(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
theme = "safe"
profile = "ssh"
[keys]
"jobs.cancel" = "X"
[contexts.eu-1]
tier = "prod"
read_only = true
namespace = "ml"
mlflow = "http://127.0.0.1:5000/"
prometheus = { service = "monitoring/prometheus:web" }
""",
    )
    config = load(path, {"HOME": str(tmp_path)})
    context = config.for_context("eu-1")
    assert (context.tier, context.read_only, context.namespace) == (Tier.PROD, True, "ml")
    assert context.mlflow is not None and context.mlflow.url == "http://127.0.0.1:5000"
    assert context.prometheus is not None
    assert context.prometheus.service == "monitoring/prometheus:web"
    assert context.mlflow.origin == str(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[contexts.a]\ntier = "gold"', "config.toml:2: contexts.a.tier: Invalid enum"),
        ('[contexts.a]\nmlfow = "x"', "config.toml:2: unknown key 'mlfow'; did you mean mlflow?"),
        ('thme = "x"', "config.toml:1: unknown key 'thme'; did you mean theme?"),
        ("a = \n", "not valid TOML: Invalid value (at line 1"),
        ('profile = "slow"', "config.toml:1: profile 'slow' is not known"),
        ('[contexts.a]\nmlflow = "ftp://x"', "config.toml:2: 'ftp://x' is not an http or https"),
        ("[contexts.a]\nmlflow = {}", "needs either a url or a service"),
        ('[contexts.a]\nmlflow = {service = "x"}', "is not namespace/name:port"),
        ('read_only = "yes"', "config.toml:1: read_only: Expected `bool`"),
        ('[contexts.a.mlflow]\nurl = "http://h"\ntok = "x"', "unknown key 'tok'"),
    ],
)
def test_says_what_and_where(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(write(tmp_path, text), {})
    assert says in caught.value.line()


def test_credentials_in_a_url_are_refused_and_not_repeated(tmp_path: Path) -> None:
    path = write(tmp_path, '[contexts.a]\nmlflow = "http://bob:hunter2@host"')
    with pytest.raises(UsageError) as caught:
        load(path, {})
    assert "must not carry credentials" in caught.value.line()
    assert "hunter2" not in caught.value.line()


_PROD = (
    "localization-cluster", "kindred-ml", "kindle", "demographics", "sandboxed", "teststand",
    "stagecoach", "developers", "one-of-a-kind", "virtual-desktop", "product", "live2", "prod1",
    "preprod-prod", "kind-of-prod", "k3d-prod", "",
)  # fmt: skip
_WHOSE = (  # and not what it is for
    "kubernetes-admin@cluster.local", "k8s.acme.dev", "k8s.acme.test", "gke_acme.dev_eu_ml",
    "default/api-ocp-acme-dev:6443/admin",
)  # fmt: skip
_TEST = (
    "test", "testing-eu", "eks-test2", "stage", "stg1", "uat", "qa_ml", "kind-staging",
    "test.k8s.acme.com", "arn:aws:eks:eu-west-1:1234:cluster/testing",
)  # fmt: skip
_DEV = (
    "dev", "dev2", "Development", "ml.dev.acme.com", "gke_acme_eu-west1_dev", "demo-viewer",
    "kind", "kind-kind", "kind-ml", "k3d-x", "k3d-ml-2", "minikube", "minikube-gpu",
    "docker-desktop", "docker-for-desktop", "rancher-desktop", "local", "sandbox-eu",
    "arn:aws:eks:eu-west-1:1234:cluster/dev",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        ("prod", Tier.PROD),
        ("eks-prd-1", Tier.PROD),
        ("production-eu", Tier.PROD),
        ("preprod", Tier.TEST),
        ("staging", Tier.TEST),
        ("kind-dev", Tier.DEV),
        ("deviant", Tier.PROD),
        ("cluster-7", Tier.PROD),
        *((name, Tier.PROD) for name in (*_PROD, *_WHOSE)),
        *((name, Tier.TEST) for name in _TEST),
        *((name, Tier.DEV) for name in _DEV),
    ],
)
def test_an_unknown_tier_is_prod(name: str, tier: Tier) -> None:
    assert guess_tier(name)[0] is tier
    assert Config().for_context(name).tier is tier


def test_a_line_is_one_as_toml_has_them(tmp_path: Path) -> None:
    path = write(tmp_path, '# a\u2028b\x85c\nthme = "x"\n')
    with pytest.raises(UsageError, match=r"config\.toml:2: unknown key 'thme'"):
        load(path, {})


def test_conventions() -> None:
    env = {"MLFLOW_TRACKING_URI": "http://h:1/", "MLFLOW_TRACKING_TOKEN": "s"}
    found = Config().for_context("dev", env).mlflow
    assert found is not None
    assert (found.url, found.token_env) == ("http://h:1", "MLFLOW_TRACKING_TOKEN")
    assert found.origin == "environment variable MLFLOW_TRACKING_URI"
    assert Config().for_context("dev", {"MLFLOW_TRACKING_URI": "file:///x"}).mlflow is None
    assert config_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/mcp-tui/config.toml")


def test_a_kubeconfig_may_say_it_itself_and_the_file_goes_before() -> None:
    said = {"tier": "dev", "mlflow": "http://127.0.0.1:5000"}
    found = Config().for_context("prod-like", extension=said, origin="/k")
    assert (found.tier, found.tier_origin) == (Tier.DEV, "/k")
    assert found.mlflow is not None and found.mlflow.origin == "/k"
    configured = Config(contexts={"a": ContextConfig(name="a", tier=Tier.PROD)})
    assert configured.for_context("a", extension=said).tier is Tier.PROD
    for wrong in ({"teir": "dev"}, ["x"], {"mlflow": "http://u:secret@h"}):
        with pytest.raises(UsageError) as caught:
            Config().for_context("a", extension=wrong, origin="/k")
        assert "/k" in caught.value.line() and "secret" not in caught.value.line()


def test_read_only_for_all_is_for_each() -> None:
    assert Config(read_only=True).for_context("dev").read_only


RULES = """\
gates = ["f1_macro >= 0.9"]
[metrics]
lower = ["odd*"]
[approvals]
dev = "none"
[approvals.prod]
own = true
levels = [{name = "ml-lead", people = ["bo"]}, {name = "sre", groups = ["sre"]}]
[contexts.eu]
tier = "prod"
gates = ["f1_macro >= 0.95", "latency_p99_ms <= 40"]
"""


def test_rules_of_a_release(tmp_path: Path) -> None:
    config = load(write(tmp_path, RULES), {})
    assert [g.rule for g in config.for_context("other").gates] == ["f1_macro >= 0.9"]
    assert len(config.for_context("eu").gates) == 2
    assert config.metrics is not None and config.metrics.of("odd_one") == "lower"
    assert config.approvals[Tier.DEV].mode == "none" and Tier.TEST not in config.approvals
    assert [level.name for level in config.approvals[Tier.PROD].levels] == ["ml-lead", "sre"]
    assert config.approvals[Tier.PROD].own
    assert load(write(tmp_path, ""), {}).metrics is None


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (RULES.replace(">= 0.95", "=> 0.95"), ":11:20", "expected >="),
        (RULES.replace('["f1_macro >= 0.9"]', "[7]"), "", "gate 1 is neither"),
        (RULES.replace("lower =", "lowr ="), ":3", "did you mean lower?"),
        (RULES.replace('["odd*"]', '"odd"'), ":3", "metrics.lower"),
        (RULES.replace("[approvals.prod]", "[approvals.pro]"), "", "'pro' is no tier"),
        (RULES.replace("own = true", "own = 1"), ":7", "approvals.prod: own is true or false"),
        (RULES.replace('dev = "none"', 'dev = "some"'), ":5", "approvals.dev: neither"),
        (RULES.replace('name = "sre"', 'name = "S"'), ":8", "small letters"),
    ],
)
def test_a_rule_that_makes_no_sense_is_said_by_its_place(
    tmp_path: Path, text: str, line: str, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(write(tmp_path, text), {})
    assert says in caught.value.line()
    assert caught.value.where.endswith(f"config.toml{line}") or not line
