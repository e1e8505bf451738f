"""The demo as a stranger meets it: what it prints works, and it leaves nothing behind."""

import os
import pathlib
import signal
import subprocess
import sys

import openai
import pytest
from conftest import OPENAI, Demo, ask, binary


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where demos that are started from here on put their temporary directories."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def empty(directory):
    return not list(directory.iterdir())


def client_of(demo):
    return openai.OpenAI(
        base_url=demo.facts["base_url"], api_key=demo.facts["api_key"], max_retries=0
    )


def test_the_printed_lines_work_when_pasted(demo):
    curl = subprocess.run(demo.line("curl -N"), shell=True, capture_output=True, text=True)
    assert curl.returncode == 0, curl.stderr
    assert curl.stdout.rstrip().endswith("data: [DONE]")
    # The same interpreter, in which the client is installed.
    path = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
    python = subprocess.run(
        demo.line("python3 -c"), shell=True, capture_output=True, text=True, env=path
    )
    assert python.returncode == 0, python.stderr
    assert len(python.stdout.split()) == 32


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_it_leaves_nothing_behind(temporary, by):
    demo = Demo()
    assert not empty(temporary), "the ledger is in a directory of its own"
    with client_of(demo) as client:
        client.chat.completions.create(model=OPENAI, **ask("Hello"))
    assert demo.stop(by) == 0
    assert empty(temporary)


def test_a_signal_at_once(temporary):
    """A signal while the demo still starts ends it in good order too."""
    demo = subprocess.Popen(
        [binary(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], stdout=subprocess.DEVNULL
    )
    while empty(temporary):
        assert demo.poll() is None, "the demo runs"
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 0
    assert empty(temporary)


def test_a_running_stream_is_finished_before_the_end():
    demo = Demo()
    with client_of(demo) as client:
        request = ask("Hello [[sim token_ms=30]]")
        chunks = client.chat.completions.create(model=OPENAI, stream=True, **request)
        words = next(chunks).choices[0].delta.content or ""
        demo.process.send_signal(signal.SIGTERM)
        for chunk in chunks:
            words += (chunk.choices and chunk.choices[0].delta.content) or ""
    assert len(words.split()) == 32
    assert demo.process.wait(30) == 0


def test_the_balance_goes_on(tmp_path):
    """With `--data` the ledger stays: credit that was used is gone, and earlier keys still work."""
    data = str(tmp_path / "data")
    first = Demo("--data", data)
    assert first.facts["balance"] == "$5 (account demo)"
    with client_of(first) as client:
        cost = client.chat.completions.create(model=OPENAI, **ask("Hello")).usage.cost
    assert first.stop() == 0
    second = Demo("--data", data)
    left = float(second.facts["balance"].split()[0].removeprefix("$"))
    assert left == pytest.approx(5 - cost, abs=1e-9)
    second.facts["api_key"] = first.facts["api_key"]
    with client_of(second) as client:
        client.chat.completions.create(model=OPENAI, **ask("Hello"))
    assert second.stop() == 0
    verify = subprocess.run(
        [binary(), "ledger", "verify", "--data", data], capture_output=True, text=True
    )
    assert verify.returncode == 0, verify.stdout + verify.stderr


def test_two_at_once_find_ports(tmp_path):
    """The wanted ports are taken: the next free ones are found, also for the admin listener."""
    first = Demo()
    taken = first.facts["base_url"].removeprefix("http://").removesuffix("/v1")
    second = Demo("--data", str(tmp_path / "a"))
    third = subprocess.Popen(
        [binary(), "--listen", taken, "--admin", taken, "--data", str(tmp_path / "b")],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [third.stdout.readline() for _ in range(5)]
    base = next(line for line in lines if line.startswith("base_url: "))
    metrics = next(line for line in lines if line.startswith("metrics: "))
    assert len({base.split("/")[2], metrics.split("/")[2], taken}) == 3
    third.send_signal(signal.SIGTERM)
    assert third.wait(30) == 0
    assert (first.stop(), second.stop()) == (0, 0)


def test_nobody_reads_its_output(temporary):
    """As behind `| head -2`: the demo serves on, and ends in good order."""
    demo = subprocess.Popen(
        [binary(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], stdout=subprocess.PIPE
    )
    demo.stdout.close()
    with pytest.raises(subprocess.TimeoutExpired):
        demo.wait(3)
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(30) == 0
    assert empty(temporary)


def test_refusals_say_why(tmp_path, temporary):
    """What cannot work is refused with a reason, a status, and nothing left behind."""
    running = Demo("--data", str(tmp_path / "data"))
    for arguments, word in [
        (["--data", str(tmp_path / "data")], "data"),
        (["--listen", "192.0.2.1:8080"], "192.0.2.1:8080"),
        (["--listen", "nowhere"], "nowhere"),
        (["--data", "/dev/null/x"], "/dev/null"),
        (["--access-log", "serve"], "serve"),
    ]:
        ran = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=30)
        assert ran.returncode != 0, arguments
        assert word in ran.stderr, (arguments, ran.stderr)
        assert "panicked" not in ran.stderr
    assert running.stop() == 0
    assert empty(temporary)
