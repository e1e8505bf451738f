"""Errors arrive as the official client's own exception classes, with a text that says what to do."""

import openai
import pytest
from conftest import ANTHROPIC, OPENAI, Demo, ask


def check_error(error, status, code, word):
    assert error.status_code == status
    assert error.body["code"] == status
    assert error.body["metadata"]["error_type"] == code
    assert error.type == code
    assert word in error.body["message"]
    assert error.response.headers["x-generation-id"].startswith("gen-")


@pytest.mark.parametrize("key", ["wrong", "sk-tp-v1-" + "A" * 43], ids=["malformed", "unknown"])
def test_a_wrong_key(demo, model, key):
    with openai.OpenAI(base_url=demo.facts["base_url"], api_key=key, max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as raised:
            stranger.chat.completions.create(model=model, **ask("Hello"))
    check_error(raised.value, 401, "authentication", "key")
    assert key not in raised.value.message


def test_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="simulated/gptisch", **ask("Hello"))
    check_error(raised.value, 404, "model_not_found", "simulated/gptisch")
    assert raised.value.param == "model"


def test_an_unknown_path(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.images.generate(model=OPENAI, prompt="Hello")
    check_error(raised.value, 404, "not_found", "/v1/chat/completions")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_bad_requests(client, model, stream):
    for request, param in [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": -1}, "max_tokens"),
        ({"messages": "Hello"}, "messages"),
    ]:
        with pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(model=model, stream=stream, **request)
        check_error(raised.value, 400, "invalid_request", param)
        assert raised.value.param == param


def test_what_a_dialect_cannot_say(client):
    """A request that has no equal in the provider's dialect is refused, not changed."""
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=ANTHROPIC, **ask("Hello", n=2))
    check_error(raised.value, 400, "invalid_request", "n")


def test_too_dear(client):
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(
            model=ANTHROPIC, **ask("x" * 40_000_000, max_tokens=1000)
        )
    # The prompt is longer than the model's context, or its price is above the balance.
    assert raised.value.status_code in (400, 402)
    assert raised.value.body["metadata"]["error_type"] in (
        "context_length_exceeded",
        "payment_required",
    )


def test_too_large(client, model):
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model=model, **ask("x" * (64 << 20)))
    check_error(raised.value, 413, "payload_too_large", "67108864")
    # The next request has a sound connection.
    assert client.chat.completions.create(model=model, **ask("Hello")).choices


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("fault", "raises", "status", "code"),
    [
        ("status:400", openai.BadRequestError, 400, "invalid_request"),
        ("error:context_length", openai.BadRequestError, 400, "context_length_exceeded"),
        ("error:content_policy", openai.PermissionDeniedError, 403, "content_policy_violation"),
        ("error:auth", openai.InternalServerError, 502, "provider_unavailable"),
        ("status:408", openai.InternalServerError, 504, "timeout"),
        ("error:rate_limit", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("status:500", openai.InternalServerError, 502, "provider_unavailable"),
        ("error:overloaded", openai.InternalServerError, 503, "provider_overloaded"),
        ("in_band", openai.InternalServerError, 502, "provider_unavailable"),
        ("cut_before", openai.InternalServerError, 502, "provider_unavailable"),
        ("empty", openai.InternalServerError, 502, "provider_unavailable"),
        ("garbage", openai.InternalServerError, 502, "provider_unavailable"),
    ],
)
def test_faults_of_the_provider(fresh, model, fault, raises, status, code, stream):
    """Nobody else hosts the model: the client is told, in the same words for all dialects."""
    if fault == "error:content_policy" and model == "simulated/ollamish":
        pytest.skip("Ollama has no policy, and no such error")
    with pytest.raises(raises) as raised:
        fresh.chat.completions.create(
            model=model, stream=stream, **ask(f"Hello [[sim fault={fault}]]")
        )
    check_error(raised.value, status, code, "sim-")


@pytest.mark.parametrize("fault", ["cut_after:3", "in_band_after:3"])
def test_a_stream_that_breaks_off(fresh, model, fault):
    """After the first token the stream ends in an error that the client raises."""
    chunks = fresh.chat.completions.create(
        model=model, stream=True, **ask(f"Hello [[sim fault={fault}]]")
    )
    words = ""
    with pytest.raises(openai.APIError) as raised:
        for chunk in chunks:
            words += (chunk.choices and chunk.choices[0].delta.content) or ""
    assert len(words.split()) == 3
    assert raised.value.body["metadata"]["error_type"] == "provider_unavailable"


def test_another_host_is_tried(client):
    """Two of three hosts fail: the client sees an answer."""
    text = "Hello [[sim@sim-swift fail=500]] [[sim@sim-thrift fail=429]]"
    for stream in (False, True):
        answer = client.chat.completions.create(
            model="meta-llama/llama-3.3-70b-instruct", stream=stream, **ask(text)
        )
        if stream:
            assert [chunk.usage.completion_tokens for chunk in answer if chunk.usage] == [32]
        else:
            assert answer.usage.completion_tokens == 32


@pytest.fixture
def fresh():
    """A client of a demo of its own: faults must not open the breakers of the shared one."""
    own = Demo()
    with openai.OpenAI(
        base_url=own.facts["base_url"], api_key=own.facts["api_key"], max_retries=0, timeout=60
    ) as made:
        yield made
    assert own.stop() == 0
