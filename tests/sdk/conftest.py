"""Starts the demo, as a stranger would, and hands out official clients that talk to it."""

import os
import pathlib
import signal
import subprocess
import threading
import time

import openai
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The same words, whatever the dialect behind the model.
OPENAI = "simulated/gptish"
ANTHROPIC = "simulated/claudish-sonnet"
RESPONSES = "simulated/responsish"
GEMINI = "simulated/geminish-pro"
BEDROCK = "simulated/bedrockish"
COHERE = "simulated/coherish"
MISTRAL = "simulated/mistralish"
OLLAMA = "simulated/ollamish"
DIALECTS = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "responses": RESPONSES,
    "gemini": GEMINI,
    "bedrock": BEDROCK,
    "cohere": COHERE,
    "mistral": MISTRAL,
    "ollama": OLLAMA,
}
MODELS = list(DIALECTS.values())

START_S = 60
END_S = 30


def binary():
    """The program under test: TURNPIKE_BIN, or the debug build."""
    if path := os.environ.get("TURNPIKE_BIN"):
        return path
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return pathlib.Path(target) / "debug" / "turnpike"


class Demo:
    """A running demo. The lines `name: value` that it prints are in `facts`."""

    def __init__(self, *arguments, stderr=None):
        command = [binary(), "demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        self.facts = {}
        self.lines = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(START_S) or "base_url" not in self.facts:
            self.process.kill()
            raise RuntimeError(f"the demo did not start: {self.lines}")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            name, colon, value = self.lines[-1].partition(": ")
            if colon:
                self.facts[name] = value
            if self.lines[-1].startswith("Ctrl-C"):
                self.ready.set()
        self.ready.set()

    def line(self, start):
        """The printed line that starts like this."""
        return next(line for line in self.lines if line.startswith(start))

    def stop(self, by=signal.SIGTERM):
        """Ends the demo by a signal and gives its exit status."""
        self.process.send_signal(by)
        try:
            return self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo that all tests share; it must end in good order when they are done."""
    running = Demo("--data", str(tmp_path_factory.mktemp("demo") / "data"))
    yield running
    assert running.stop() == 0, "SIGTERM ends the demo with status 0"


@pytest.fixture(scope="session")
def client(demo):
    """The unmodified client; it does not retry, so that nothing is covered up."""
    with openai.OpenAI(
        base_url=demo.facts["base_url"], api_key=demo.facts["api_key"], max_retries=0, timeout=60
    ) as made:
        yield made


@pytest.fixture(params=MODELS, ids=list(DIALECTS))
def model(request):
    """A model behind each dialect."""
    return request.param


def ask(text, **more):
    """The arguments of a request with one user message."""
    return {"messages": [{"role": "user", "content": text}], **more}


def generation(client, generation_id):
    """The record of an answer. It is written when the answer has ended, so it may take a moment."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return client.get(f"/generation?id={generation_id}", cast_to=object)["data"]
        except openai.NotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
