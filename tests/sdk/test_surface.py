"""The rest of what the official client reaches: models, headers, accounts, cache, retries."""

import openai
import pytest
from conftest import ANTHROPIC, MODELS, OPENAI, ask, generation


def test_models(client):
    models = {model.id: model for model in client.models.list()}
    assert set(MODELS) <= set(models)
    for model in models.values():
        assert model.object == "model"
        assert model.owned_by == model.id.split("/")[0]
        assert float(model.pricing["prompt"]) > 0
        assert model.context_length > 0
    one = client.models.retrieve(OPENAI)
    assert one.id == OPENAI
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("simulated/none")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_generations_can_be_looked_up(client, model, stream):
    raw = client.chat.completions.with_raw_response.create(
        model=model, stream=stream, **ask("Hello")
    )
    generation_id = raw.headers["x-generation-id"]
    assert generation_id.startswith("gen-")
    answer = raw.parse()
    usage = [c.usage for c in answer if c.usage][0] if stream else answer.usage
    found = generation(client, generation_id)
    assert found["id"] == generation_id
    assert found["model"] == model
    assert found["streamed"] is stream
    assert found["finish_reason"] == "stop"
    assert found["tokens_prompt"] == usage.prompt_tokens
    assert found["tokens_completion"] == usage.completion_tokens
    assert found["total_cost"] == pytest.approx(usage.cost, abs=1e-9)


def test_what_was_used_is_charged(client, model):
    def used():
        return client.get("/credits", cast_to=object)["data"]["total_usage"]

    before = used()
    answer = client.chat.completions.create(model=model, **ask("Hello"))
    # The provider's own id, which the openai dialect hands on, finds the record as well.
    assert generation(client, answer.id)["model"] == model
    assert used() - before == pytest.approx(answer.usage.cost, abs=1e-9)
    key = client.get("/key", cast_to=object)["data"]
    assert key["label"] == "demo"
    assert key["usage"] > 0


def test_openrouters_prefix(demo, model):
    """`/api/v1` is the same as `/v1`, so that only the host changes for OpenRouter's callers."""
    base = demo.facts["base_url"].replace("/v1", "/api/v1")
    with openai.OpenAI(base_url=base, api_key=demo.facts["api_key"], max_retries=0) as client:
        answer = client.chat.completions.create(model=model, **ask("Hello"))
        assert answer.usage.completion_tokens == 32
        chunks = client.chat.completions.create(model=model, stream=True, **ask("Hello"))
        assert [c.usage.completion_tokens for c in chunks if c.usage] == [32]
        assert client.models.list().data
        assert client.get("/credits", cast_to=object)["data"]["total_credits"] == 5


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_cached_answers(client, model, stream):
    """The second of two identical requests is answered from memory, free of charge."""
    headers = {"X-OpenRouter-Cache": "true"}
    seen, answers = [], []
    for _ in range(2):
        raw = client.chat.completions.with_raw_response.create(
            model=model, stream=stream, extra_headers=headers, **ask(f"Cached? {stream}")
        )
        seen.append(raw.headers["x-openrouter-cache-status"])
        answer = raw.parse()
        if stream:
            answers.append("".join(c.choices[0].delta.content or "" for c in answer if c.choices))
        else:
            answers.append(answer.choices[0].message.content)
    assert seen == ["MISS", "HIT"]
    assert answers[0] == answers[1] != ""


def test_the_client_retries_by_itself(demo, model):
    """A 429 with Retry-After is what the client's own retries understand."""
    with openai.OpenAI(
        base_url=demo.facts["base_url"], api_key=demo.facts["api_key"], max_retries=2
    ) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=model, **ask("Hello [[sim fault=error:rate_limit retry_after=1 first=1]]")
        )
        assert raw.parse().usage.completion_tokens == 32


def test_preferences_of_openrouter(client):
    """`provider` and `models` act, and are not handed to the provider."""
    model = "meta-llama/llama-3.3-70b-instruct"
    for host in ("sim-thrift", "sim-claudish"):
        raw = client.chat.completions.with_raw_response.create(
            model=model, **ask("Hello", extra_body={"provider": {"only": [host]}})
        )
        raw.parse()
        assert generation(client, raw.headers["x-generation-id"])["provider_name"] == host
    answer = client.chat.completions.create(
        model=OPENAI, **ask("Hello [[sim@sim-openai fail=500]]", extra_body={"models": [ANTHROPIC]})
    )
    assert answer.model == ANTHROPIC
