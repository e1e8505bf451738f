"""`:online` and plugins through the official client: citations as its own objects."""

import http.server
import json
import os
import signal
import subprocess
import threading
import time

import httpx
import openai
import pytest

from conftest import ask, binary
from test_admin import free

TEXT = "See [rust-lang.org](https://rust-lang.org/news) for more."
RESULTS = {
    "results": [
        {"url": "https://rust-lang.org/news", "title": "Rust news", "content": "1.95 is out."},
        {"url": "https://other.example/", "title": "Other", "content": "Nothing."},
    ]
}


class Outside(http.server.BaseHTTPRequestHandler):
    """A SearXNG and a provider in OpenAI's form at one address."""

    protocol_version = "HTTP/1.1"
    seen = []

    def log_message(self, *_):
        pass

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer("application/json", json.dumps(RESULTS).encode())

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Outside.seen.append(asked)
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        about = {"id": "c", "created": 1, "model": "m"}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": TEXT}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            body = {**about, "object": "chat.completion", "choices": [choice], "usage": usage}
            return self.answer("application/json", json.dumps(body).encode())

        def chunk(delta, finish=None):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return {**about, "object": "chat.completion.chunk", "choices": [choice]}

        chunks = [chunk({"role": "assistant", "content": ""})]
        chunks += [chunk({"content": TEXT[i : i + 5]}) for i in range(0, len(TEXT), 5)]
        chunks += [chunk({}, "stop"), {**chunk({}), "choices": [], "usage": usage}]
        lines = [f"data: {json.dumps(each)}\n\n" for each in chunks] + ["data: [DONE]\n\n"]
        self.answer("text/event-stream", "".join(lines).encode())


@pytest.fixture(scope="module")
def searching(tmp_path_factory):
    """A client of a gateway with web search."""
    outside = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Outside)
    threading.Thread(target=outside.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{outside.server_port}"
    folder = tmp_path_factory.mktemp("plugins")
    listen, admin = free(), free()
    config = folder / "turnpike.toml"
    config.write_text(
        f'[server]\nlisten = ["127.0.0.1:{listen}"]\n'
        f'[admin]\nlisten = "127.0.0.1:{admin}"\n'
        f'[ledger]\ndata_dir = "{folder}/data"\n'
        f'[log]\naccess = "{folder}/access.log"\n'
        f'[[providers]]\nid = "host"\ndialect = "openai"\nbase_url = "{base}/v1"\nauth = "none"\n'
        '[[models]]\nid = "test/model"\ncontext_length = 100000\n'
        '[[models.endpoints]]\nprovider = "host"\nupstream_model = "m"\nmax_output = 1000\n'
        'prices = { prompt = "1", completion = "1" }\n'
        '[[plugins]]\nid = "web"\n[plugins.options]\nengine = "searxng"\n'
        f'base_url = "{base}"\nprice_usd_per_search = "0.01"\n'
    )

    def run(*arguments):
        command = [binary(), *arguments, "--data", folder / "data"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    run("accounts", "create", "acme")
    run("accounts", "top-up", "acme", "5")
    made = run("keys", "create", "--account", "acme")
    key = next(line.split(": ")[1] for line in made.splitlines() if "api_key" in line)
    with open(folder / "stderr", "w") as log:
        process = subprocess.Popen(
            [binary(), "serve", "-c", config], env=os.environ, stdout=log, stderr=log
        )
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{admin}/healthz").status_code == 200:
                break
        except httpx.TransportError:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
    url = f"http://127.0.0.1:{listen}/v1"
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60) as client:
        yield client
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    outside.shutdown()


def check(citation):
    assert citation.type == "url_citation"
    cited = citation.url_citation
    assert (cited.url, cited.title) == ("https://rust-lang.org/news", "Rust news")
    assert TEXT[cited.start_index : cited.end_index] == "[rust-lang.org](https://rust-lang.org/news)"


def test_online_gives_citations_as_the_clients_own_objects(searching):
    completion = searching.chat.completions.create(model="test/model:online", **ask("News?"))
    message = completion.choices[0].message
    assert message.content == TEXT
    assert len(message.annotations) == 1
    check(message.annotations[0])
    told = json.dumps(Outside.seen[-1])
    assert "1.95 is out." in told and "plugins" not in told
    assert completion.usage.cost == pytest.approx(0.01 + 18e-6)


def test_a_stream_has_the_same_citations_and_a_second_search_is_kept(searching):
    stream = searching.chat.completions.create(
        model="test/model", stream=True, extra_body={"plugins": [{"id": "web"}]}, **ask("News?")
    )
    text, annotations, usage = "", [], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            annotations += getattr(choice.delta, "annotations", None) or []
    assert text == TEXT
    assert [each["url_citation"]["url"] for each in annotations] == ["https://rust-lang.org/news"]
    assert usage.cost == pytest.approx(18e-6), "the results were kept"


def test_a_plugin_that_is_not_there_is_named(searching):
    with pytest.raises(openai.BadRequestError, match="no plugin `file-parser`"):
        searching.chat.completions.create(
            model="test/model", extra_body={"plugins": [{"id": "file-parser"}]}, **ask("x")
        )
