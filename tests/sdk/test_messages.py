"""The Messages surface with Anthropic's official client, for a model behind each dialect."""

import anthropic
import pytest
from conftest import OPENAI

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@pytest.fixture(scope="module")
def claude(demo):
    """Anthropic's client adds /v1/messages to its base URL."""
    base = demo.facts["base_url"].removesuffix("/v1")
    with anthropic.Anthropic(
        base_url=base, api_key=demo.facts["api_key"], max_retries=0, timeout=60
    ) as made:
        yield made


def ask(model, text="Say something about rivers.", **more):
    return {"model": model, "max_tokens": 24, "messages": [{"role": "user", "content": text}], **more}


def test_whole_and_streamed_answers_agree(claude, model):
    whole = claude.messages.create(**ask(model))
    assert whole.type == "message" and whole.role == "assistant"
    assert [block.type for block in whole.content] == ["text"]
    assert whole.stop_reason == "max_tokens"
    assert whole.usage.output_tokens == 24 and whole.usage.input_tokens > 0
    with claude.messages.stream(**ask(model)) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text
    assert final.content[0].text == text
    assert final.stop_reason == "max_tokens"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        whole.usage.input_tokens,
        24,
    )


def test_events_come_in_anthropics_order(claude, model):
    events = list(claude.messages.create(**ask(model, stream=True)))
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    open_blocks = []
    for event in events:
        if event.type == "content_block_start":
            assert not open_blocks, "blocks do not interleave"
            open_blocks.append(event.index)
        elif event.type == "content_block_delta":
            assert open_blocks == [event.index], "a delta belongs to the open block"
        elif event.type == "content_block_stop":
            assert open_blocks.pop() == event.index
    assert not open_blocks


def test_a_tool_conversation(claude, model):
    question = {"role": "user", "content": "What is the weather in Oslo?"}
    more = {"max_tokens": 256, "tools": [WEATHER], "tool_choice": {"type": "any"}}
    called = claude.messages.create(model=model, messages=[question], **more)
    assert called.stop_reason == "tool_use"
    call = next(block for block in called.content if block.type == "tool_use")
    assert call.name == "get_weather" and isinstance(call.input["city"], str)
    with claude.messages.stream(model=model, messages=[question], **more) as stream:
        streamed = stream.get_final_message()
    again = next(block for block in streamed.content if block.type == "tool_use")
    assert (again.name, again.input) == (call.name, call.input)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Snow."}
    answered = claude.messages.create(
        model=model,
        max_tokens=16,
        tools=[WEATHER],
        messages=[
            question,
            {"role": "assistant", "content": called.content},
            {"role": "user", "content": [result, {"type": "text", "text": "And?"}]},
        ],
    )
    assert answered.content[-1].type == "text" and answered.content[-1].text


def test_tokens_are_counted_before_they_are_paid(claude):
    short = claude.messages.count_tokens(
        model=OPENAI, messages=[{"role": "user", "content": "Hi"}]
    )
    long = claude.messages.count_tokens(
        model=OPENAI, messages=[{"role": "user", "content": "Hi there, how are you? " * 50}]
    )
    assert 0 < short.input_tokens < long.input_tokens < 1000


def test_errors_are_anthropics(claude, demo):
    with pytest.raises(anthropic.NotFoundError) as missing:
        claude.messages.create(**ask("no/such-model"))
    assert missing.value.body["type"] == "error"
    assert missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(**ask(OPENAI, messages=[]))
    stranger = claude.with_options(api_key="sk-wrong")
    with pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(**ask(OPENAI))


def test_bearer_keys_are_taken_too(demo):
    base = demo.facts["base_url"].removesuffix("/v1")
    with anthropic.Anthropic(
        base_url=base, auth_token=demo.facts["api_key"], max_retries=0
    ) as bearer:
        assert bearer.messages.create(**ask(OPENAI)).content
