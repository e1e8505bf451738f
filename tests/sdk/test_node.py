"""Official JavaScript clients: `ai` with OpenRouter's provider, and OpenRouter's own SDK."""

import pathlib
import subprocess

import pytest
from conftest import MODELS

NODE = pathlib.Path(__file__).parent / "node"


@pytest.mark.parametrize("script", ["ai.mjs", "openrouter.mjs"])
def test_official_javascript_client(demo, script):
    base, key = demo.facts["base_url"], demo.facts["api_key"]
    done = subprocess.run(
        ["node", script, base, key, *MODELS],
        cwd=NODE,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
