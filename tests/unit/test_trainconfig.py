"""train-config.yaml: what is read, what is refused and where the message points."""

from __future__ import annotations

import time

import pytest

from mcp_tui.domain.giturl import has_credentials
from mcp_tui.domain.trainconfig import (
    EXAMPLE,
    ConfigError,
    TrainConfig,
    dump,
    parse_train_config,
    seconds,
)

BASE = """\
image: python:3.11
code: {url: "https://git.example.com/a/b.git"}
command: python train.py
"""


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_train_config(text, filename="t.yaml")
    assert caught.value.exit_code == 2
    assert caught.value.line() == "\n".join(caught.value.lines())
    return caught.value.lines()


def test_the_example_is_read_and_survives_a_round_trip() -> None:
    config = parse_train_config(EXAMPLE)
    assert config.total_steps == 2000
    assert config.parameters == {"learning-rate": "0.001", "epochs": "20"}
    assert parse_train_config(dump(config)) == config


def test_the_least_config_has_the_documented_defaults() -> None:
    config = parse_train_config(BASE)
    assert (config.nodes, config.retries, config.parameters_as) == (1, 0, "args")
    assert config.job_kind == "Job"
    assert parse_train_config(dump(config)) == config


def test_bytes_with_and_without_a_bom_are_read() -> None:
    assert parse_train_config(BASE.encode()) == parse_train_config(b"\xef\xbb\xbf" + BASE.encode())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "t.yaml:1:1: the file is empty; `mcp-tui job init`"),
        ("# only a comment\n", "t.yaml:1:1: the file is empty"),
        ("--- \n", "t.yaml:1:1: the file is empty"),
        ("- a\n", "t.yaml:1:1: the file must be a map"),
        (BASE + "---\na: 1\n", "t.yaml:4:1: a second document"),
        (BASE + "image: x\n", "t.yaml:4:1: duplicate key `image`; the first is at line 1"),
        (BASE + "env: {A: 1, A: 2}\n", "t.yaml:4:13: duplicate key `A`"),
        (BASE + "nods: 2\n", "t.yaml:4:1: unknown field `nods`; did you mean `nodes`?"),
        (BASE + "gpus: 1\n", "t.yaml:4:1: unknown field `gpus`; write `resources.accelerators`"),
        (BASE + "resources: {mem: 1Gi}\n", "t.yaml:4:13: unknown field `mem` in `resources`"),
        (BASE + "nodes: two\n", "t.yaml:4:8: `nodes` must be a whole number from 1 to 4096, not"),
        (BASE + "nodes: 0\n", "t.yaml:4:8: `nodes` must be a whole number from 1 to 4096, not 0"),
        (BASE + "nodes: 0x10\n", "t.yaml:4:8: `nodes` must be a whole number"),
        (BASE + "nodes: 010\n", "t.yaml:4:8: `nodes` must be a whole number"),
        (BASE + "nodes: 1:30\n", "t.yaml:4:8: `nodes` must be a whole number"),
        (BASE + "nodes: 1.5\n", "t.yaml:4:8: `nodes` must be a whole number"),
        (BASE + "name: no\n", '4:7: `name` must be text of lower-case letters, digits and `-`, not '
         'true or false; YAML reads no as true or false; put it in quotes: "no"'),
        (BASE + "name: 12\n", 'not a number; put it in quotes: "12"'),
        (BASE + "name:\n", "4:6: `name` has no value"),
        (BASE + 'name: ""\n', "`name` is empty"),
        (BASE + "name: My_Job\n", "`name` is not text of lower-case letters"),
        (BASE + "labels: {a: yes}\n", 'put it in quotes: "yes"'),
        (BASE + "labels: {a: feature/x}\n", "`labels.a` is not text that is a label value"),
        (BASE + "labels: {mcp-tui.io/commit: x}\n", "'mcp-tui.io/commit' in `labels` is not"),
        (BASE + "env: {1A: x}\n", "'1A' in `env` is not the name of an environment variable"),
        (BASE + "env: {A: }\n", '`env.A` has no value; for empty text write ""'),
        (BASE + "env: {A: [1]}\n", "`env.A` must be a single value, not a list"),
        (BASE + "env: {MLFLOW_RUN_ID: x}\n", "`env.MLFLOW_RUN_ID` may not be given"),
        (BASE + "env: {A: x}\nsecrets: {A: {secret: s, key: k}}\n", "t.yaml:5:1: `A` is in `env`"),
        (BASE + "secrets: {A: {secret: s}}\n", "4:14: `secrets.A.key` is missing"),
        (BASE + "resources: {memory: 8}\n", "`resources.memory` needs a unit; give the unit"),
        (BASE + "resources: {memory: 8GB}\n", "`resources.memory` is not text that is a memory"),
        (BASE + "resources: {memory: 0Gi}\n", "`resources.memory` is not text that is a memory"),
        (BASE + "resources: {memory: 0.00Gi}\n", "`resources.memory` is not text that is a memory"),
        (BASE + "resources: {memory: 00.5Gi}\n", "`resources.memory` is not text that is a memory"),
        (BASE + "resources: {cpu: lots}\n", "write for example 2, 0.5 or 500m"),
        (BASE + "resources: {cpu: 0}\n", "`resources.cpu` must be from 0.001"),
        (BASE + "resources: {accelerators: 1}\n", "`resources.accelerators` must be a map"),
        (BASE + "deadline: 4 hours\n", "write for example 30m, 4h or 1d12h"),
        (BASE + "deadline: 3600\n", "`deadline` needs a unit"),
        (BASE + "deadline: 0s\n", "4:1: `deadline` must be longer than nothing"),
        (BASE + "ttl: 99999d\n", "4:1: `ttl` is longer than 68 years"),
        (BASE + "kind: trainjb\n", "did you mean `trainjob`?"),
        (BASE + "kind: trainjob\n", "`kind: trainjob` needs `runtime`"),
        (BASE + "kind: job\nruntime: torch\n", "5:1: `runtime` is for a TrainJob"),
        (BASE + "total_steps: 5\nparameters: {total_steps: 6}\n", "`total_steps` is also one of"),
        (BASE + "parameters_as: env\nparameters: {a-b: 1, a.b: 2}\n", "the variable PARAM_A_B"),
        (BASE + "tolerations: [{effect: NoSchedule}]\n", "needs `operator: Exists`"),
        (BASE + "data: [{digest: x}]\n", "4:8: `data[0].name` is missing; Name of the data set"),
        (BASE + "env: {<<: {A: b}}\n", "4:7: merge keys (`<<`) are not supported"),
        (BASE + "? [a, b]\n: 1\n", "a key must be plain text"),
        (BASE + "name: !!python/object/apply:os.system [id]\n", "4:7: a YAML tag (`!...`)"),
        (BASE + "name: !secret x\n", "4:7: a YAML tag"),
        (BASE + "env:\n\tA: b\n", "5:1: a tab in the indentation; indent with spaces"),
        (BASE + "env: {A: b\n", "t.yaml:5:1: not YAML"),
        (BASE + "env: *nobody\n", "t.yaml:4:6: not YAML: found undefined alias"),
        (BASE + "env: &a {A: *a}\n", "an alias that contains itself"),
        (BASE + 'name: "a\\e[2Jb"\n', "`name` holds control or invisible characters"),
        (BASE + "experiment: a\u202eb\n", "`experiment` holds control or invisible characters"),
        (BASE + "name: a\x07b\n", "4:8: a character that YAML does not allow"),
        (BASE + "a" * 70_000, "t.yaml:1:1: the file has"),
        (BASE + "env: " + "[" * 60_000, "nested deeper than 24 levels"),
        (BASE + "env: " + "{a: " * 15_000, "nested deeper than 24 levels"),
        (BASE.encode() + b"name: caf\xe9\n", "t.yaml:4:10: the file is not UTF-8"),
        ("image: a\ncommand: b\n", "t.yaml:1:1: `code` is missing"),
        ("image: a\ncommand: []\ncode: {}\n", "t.yaml:2:10: `command` must have 1 to 500 items"),
        ("image: a\ncommand: b\ncode: https://u:p@h/x\n", "3:7: `code` must be a map, not text"),
        (BASE.replace("python train.py", "'train.py # go'") + "parameters: {a: 1}\n",
         't.yaml:3:1: the parameters would be added after a comment; write "$@"'),
    ],
)  # fmt: skip
def test_faults_have_a_place_and_say_what_to_do(text: str | bytes, says: str) -> None:
    assert says in "\n".join(faults(text))


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    lines = faults("nodes: x\nimage: 1\ncode: {ulr: a}\nwho: b\nretries: 1\nretries: 2\n")
    assert [line.split(": ")[0] for line in lines] == [
        "t.yaml:1:1",
        "t.yaml:1:8",
        "t.yaml:2:8",
        "t.yaml:3:7",
        "t.yaml:3:8",
        "t.yaml:4:1",
        "t.yaml:6:1",
    ]


def test_many_faults_are_counted_not_all_printed() -> None:
    lines = faults(BASE + "".join(f"x{i}: 1\n" for i in range(100)))
    assert len(lines) == 21
    assert lines[-1] == "t.yaml: and 80 more"


def test_a_billion_laughs_is_refused_at_once() -> None:
    text = BASE + "env:\n  a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    for i in range(1, 10):
        text += f"  a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n"
    began = time.process_time()
    assert "expands to more than 5000 values" in faults(text)[0]
    assert time.process_time() - began < 2


def test_aliases_do_not_nest_deeper_than_the_text_may() -> None:
    # The value of a key that stands twice is not looked at, until the last names all of them.
    links = (f"env: &a{n} [*a{n - 1}]" for n in range(1, 900))
    text = "\n".join(["env: &a0 [x]", *links, "labels: *a899"])
    with pytest.raises(ConfigError) as caught:
        parse_train_config(text)
    assert "nested deeper than 24 levels" in [each.message for each in caught.value.problems]


def test_many_values_are_told_before_they_are_made() -> None:
    text = BASE + "env: [" + "x," * 9_000 + "]"
    assert faults(text) == faults(text + "\nenv: *nobody\n") != []
    assert "expands to more than 5000 values" in faults(text)[0]


def test_aliases_are_fine_in_moderation() -> None:
    config = parse_train_config(BASE + "env: &e {A: b}\nlabels: *e\n")
    assert config.env == config.labels == {"A": "b"}


def test_scalars_are_taken_as_written() -> None:
    text = BASE + "env: {COUNTRY: NO, N: 010, T: 12:30, D: 2026-11-23, B: true, E: ''}\n"
    config = parse_train_config(text + "parameters: {lr: 1e-4, big: 1_000, v: 1.10, on: yes}\n")
    assert config.env == {
        "COUNTRY": "NO",
        "N": "010",
        "T": "12:30",
        "D": "2026-11-23",
        "B": "true",
        "E": "",
    }
    assert config.parameters == {"lr": "1e-4", "big": "1_000", "v": "1.10", "on": "yes"}
    assert parse_train_config(dump(config)) == config


def test_parameters_count_total_steps_once() -> None:
    assert parse_train_config(BASE + "total_steps: 7\n").steps == 7
    text = BASE + "parameters: {total_steps: 9}\n"
    assert parse_train_config(text).steps == 9


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/a/b.git",
        "http://localhost:3000/a",
        "ssh://git@git.example.com:2222/a/b",
        "git@git.example.com:a/b.git",
        "git.example.com:a/b",
        "git://git.example.com/a",
        "file:///srv/git/a.git",
        "https://[::1]:8443/a",
    ],
)
def test_git_urls(url: str) -> None:
    assert not has_credentials(url)
    assert parse_train_config(BASE.replace("https://git.example.com/a/b.git", url)).code.url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://tok3n@git.example.com/a",
        "https://u:tok3n@git.example.com/a",
        "https://u:tok/3n@git.example.com/a",
        "https://u:t@ok3n@git.example.com/a",
        "ssh://u:tok3n@git.example.com/a",
        "u:tok3n@git.example.com:a",
        "https://git.example.com/a?access=tok3n",
    ],
)
def test_a_credential_in_the_url_is_refused_without_an_echo(url: str) -> None:
    said = "\n".join(faults(BASE.replace("https://git.example.com/a/b.git", url)))
    assert "t.yaml:2:13: `code.url` has a credential in it" in said
    assert "code.secret" in said
    assert "3n" not in said
    assert "tok" not in said


@pytest.mark.parametrize(
    "url", ["/srv/a", "./a", "a b", "-oProxyCommand=x:y", "ext::sh", "https://h", "\\\\h\\x"]
)
def test_what_is_no_git_url(url: str) -> None:
    text = BASE.replace('"https://git.example.com/a/b.git"', f"'{url}'")
    assert "`code.url` is not text that is a Git URL" in faults(text)[0]


def test_secrets_of_the_wrong_kind_of_url() -> None:
    text = BASE.replace("b.git", "b.git").replace('git"}', 'git", secret: s, auth: ssh}')
    assert "needs an ssh URL" in faults(text)[0]
    text = BASE.replace("https://git.example.com/", "git@git.example.com:")
    assert "is for http(s) URLs" in faults(text.replace('git"}', 'git", secret: s}'))[0]


def test_a_value_that_may_be_a_secret_is_never_repeated() -> None:
    text = BASE + "env: {A: {tok3n: tok3n}}\ndata: [{name: a, source: 's3://u:tok3n@b/c'}]\n"
    assert "tok3n" not in "\n".join(faults(text))


def test_durations() -> None:
    assert seconds("1d2h3m4s") == 93_784
    assert seconds("90m") == 5_400


def test_multi_line_commands_survive() -> None:
    text = BASE.replace("python train.py", "|\n  set -e\n  echo 'a: b'\n  python train.py")
    config = parse_train_config(text)
    assert isinstance(config, TrainConfig)
    assert config.command == "set -e\necho 'a: b'\npython train.py\n"
    assert parse_train_config(dump(config)) == config
