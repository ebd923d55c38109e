"""The command that repeats a run, as a shell takes it."""

import subprocess

import pytest

from moatbench.record.command import Command

AWKWARD = ["seed=1", "defense=[prada,rounding]", 'data.path="a=b.csv"', "x='it\\'s $HOME !x'"]
AWKWARD += ["name=two\nlines", "y=back\\slash\\\\", "z=grün `id` *", "k="]


def test_a_plain_command_reads_as_it_was_typed() -> None:
    assert str(Command(["seed=1", "defense=[prada,rounding]"])) == (
        "moatbench seed=1 'defense=[prada,rounding]'"
    )


def test_a_shell_hands_over_every_override_as_it_was(tmp_path: object) -> None:
    command = Command(
        AWKWARD, ["--config-dir", "/o n"], {"PYTHONPATH": "/a b:/c"}, folder=str(tmp_path)
    )
    shell = 'moatbench() { printf \'%s\\0\' "$PYTHONPATH" "$PWD" "$@"; }; export PYTHONPATH;'
    done = subprocess.run(
        ["bash", "-c", f"{shell} {command}"], capture_output=True, text=True, check=True
    )
    told = done.stdout.split("\0")[:-1]
    assert told == ["/a b:/c", str(tmp_path), "--config-dir", "/o n", *AWKWARD]


def test_a_command_keeps_the_secret_that_its_run_drew() -> None:
    command = Command(["seed=1", "secret=null"])
    assert command.keeping(None) is command
    assert str(command.keeping("ab")) == "moatbench seed=1 secret=ab"


@pytest.mark.parametrize(
    "command",
    [
        Command([]),
        Command(AWKWARD),
        Command(
            AWKWARD, ["--config-dir", "/c", "hydra.searchpath=[pkg://a.conf]"], {"P": "x=y"}, "/f o"
        ),
        Command(["seed=0"], ["--config-name", "mine"], {"P": ""}),
    ],
)
def test_a_command_is_read_back(command: Command) -> None:
    read = Command.parse(str(command))
    assert list(read.overrides) == list(command.overrides)
    assert list(read.options) == list(command.options)
    assert (read.environment, read.folder) == (command.environment, command.folder)
