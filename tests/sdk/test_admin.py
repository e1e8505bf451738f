"""Both management APIs against their description: schemathesis, and what must never be seen."""

import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import httpx
import pytest

from conftest import binary

TOKEN = "token-of-the-operator"
# A longer run: TURNPIKE_SCHEMATHESIS_EXAMPLES=500.
EXAMPLES = os.environ.get("TURNPIKE_SCHEMATHESIS_EXAMPLES", "8")


# Below the ports that the kernel hands out, as in tests/it/support: another test's connection may
# be given one of those before the gateway listens on it.
PORTS = range(20_000, 32_000)
CLAIMS = []


def free():
    """A loopback port that is this process's own until it ends: claimed as tests/it claims it."""
    folder = pathlib.Path(tempfile.gettempdir()) / "turnpike-test-ports"
    folder.mkdir(exist_ok=True)
    first = os.getpid() * 7
    for step in range(len(PORTS)):
        port = PORTS[(first + step) % len(PORTS)]
        claim = open(folder / str(port), "w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as made:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        CLAIMS.append(claim)
        return port
    raise RuntimeError("no port is free")


class Gateway:
    """A gateway with one account and a management key."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        listen, admin = free(), free()
        self.url, self.admin = f"http://127.0.0.1:{listen}", f"http://127.0.0.1:{admin}"
        self.config = self.folder / "turnpike.toml"
        self.config.write_text(
            f'[server]\nlisten = ["127.0.0.1:{listen}"]\n'
            f'[admin]\nlisten = "127.0.0.1:{admin}"\ntoken = "env:TOKEN"\n'
            f'[ledger]\ndata_dir = "{self.folder}/data"\n'
            f'[log]\naccess = "{self.folder}/access.log"\n'
        )
        self.run("accounts", "create", "acme")
        self.run("accounts", "top-up", "acme", "25")
        made = self.run("keys", "create", "--account", "acme", "--management", "--label", "boss")
        self.key = next(line.split(": ")[1] for line in made.splitlines() if "api_key" in line)
        self.log = open(self.folder / "stderr", "w")
        self.process = subprocess.Popen(
            [binary(), "serve", "-c", self.config],
            env={**os.environ, "TOKEN": TOKEN},
            stdout=self.log,
            stderr=self.log,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{self.admin}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline and self.process.poll() is None, self.text("stderr")
            time.sleep(0.05)

    def run(self, *arguments):
        command = [binary(), *arguments, "--data", f"{self.folder}/data"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def text(self, name):
        return (self.folder / name).read_text(errors="replace")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    running = Gateway(tmp_path_factory.mktemp("managed"))
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("part", ["admin", "clients"])
def test_the_description_is_true(gateway, part):
    operator = part == "admin"
    url, token = (gateway.admin, TOKEN) if operator else (gateway.url, gateway.key)
    document = f"{url}/admin/v1/openapi.json" if operator else f"{url}/v1/openapi.json"
    command = [
        pathlib.Path(sys.executable).parent / "schemathesis", "run", document, "--url", url,
        "--header", f"Authorization: Bearer {token}",
        "--include-path-regex", "^/admin/v1" if operator else "^/v1",
        "--max-examples", EXAMPLES, "--workers", "1", "--seed", "7", "--no-color",
        # A text in a query is valid whatever it says, as far as a schema can tell.
        "--exclude-checks", "positive_data_acceptance",
        "--generation-database", "none",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=gateway.folder)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def management_key(admin):
    """A key that manages: the gateway's own may have been deleted by the tester before."""
    made = admin.post("/admin/v1/keys", json={"account_id": "acme", "management": True})
    assert made.status_code == 201, made.text
    return made.json()["key"]


def test_a_key_is_seen_once(gateway):
    """In the answer that makes it, and nowhere else: not in lists, logs or on disk."""
    admin = httpx.Client(base_url=gateway.admin, headers={"Authorization": f"Bearer {TOKEN}"})
    boss = management_key(admin)
    client = httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {boss}"})
    made = admin.post("/admin/v1/keys", json={"account_id": "acme", "label": "seen"})
    assert made.status_code == 201, made.text
    mine = client.post("/v1/keys", json={"name": "mine", "limit": 1.5, "limit_reset": "weekly"})
    assert mine.status_code == 201, mine.text
    keys = [made.json()["key"], mine.json()["key"], boss]
    used = httpx.get(f"{gateway.url}/v1/key", headers={"Authorization": f"Bearer {keys[1]}"})
    assert used.json()["data"]["limit_remaining"] == 1.5, used.text
    hash_ = mine.json()["data"]["hash"]
    seen = [
        admin.get("/admin/v1/keys?limit=1000").text,
        client.get("/v1/keys?include_disabled=true").text,
        client.get(f"/v1/keys/{hash_}").text,
        client.patch(f"/v1/keys/{hash_}", json={"name": "other", "disabled": True}).text,
        httpx.get(f"{gateway.url}/v1/key", headers={"Authorization": f"Bearer {keys[1]}"}).text,
        client.delete(f"/v1/keys/{hash_}").text,
    ]
    files = [path.read_bytes() for path in gateway.folder.rglob("*") if path.is_file()]
    for key in keys:
        assert not any(key in text for text in seen)
        assert not any(key.encode() in content for content in files)


def test_plain_keys_do_not_manage_and_management_keys_do_not_ask(gateway):
    admin = httpx.Client(base_url=gateway.admin, headers={"Authorization": f"Bearer {TOKEN}"})
    key = admin.post("/admin/v1/keys", json={"account_id": "acme"}).json()["key"]
    plain = {"Authorization": f"Bearer {key}"}
    for path in ["/v1/keys", "/v1/activity", "/api/v1/keys/key-1"]:
        assert httpx.get(gateway.url + path, headers=plain).status_code == 403, path
    body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    boss = {"Authorization": f"Bearer {management_key(admin)}"}
    asked = httpx.post(f"{gateway.url}/v1/chat/completions", headers=boss, json=body)
    assert asked.status_code == 403, asked.text
