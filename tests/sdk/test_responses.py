"""The Responses surface with OpenAI's official client, for a model behind each dialect."""

import json

import openai
import pytest
from conftest import OPENAI

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
ASK = {"input": "Say something about rivers.", "max_output_tokens": 24}


def test_whole_and_streamed_answers_agree(client, model):
    short = client.responses.create(model=model, **ASK)
    assert short.status == "incomplete" and short.usage.output_tokens == 24
    assert short.incomplete_details.reason == "max_output_tokens"
    ample = {**ASK, "max_output_tokens": 64}
    whole = client.responses.create(model=model, **ample)
    assert whole.object == "response" and whole.status == "completed"
    assert whole.output_text.startswith(short.output_text)
    assert whole.usage.output_tokens == 32
    assert whole.usage.total_tokens == whole.usage.input_tokens + 32
    with client.responses.stream(model=model, **ample) as stream:
        deltas = [e.delta for e in stream if e.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == whole.output_text == final.output_text
    assert final.usage.output_tokens == 32


def test_events_are_numbered_and_balanced(client, model):
    events = list(client.responses.create(model=model, stream=True, **ASK))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.incomplete"
    added = [e.output_index for e in events if e.type == "response.output_item.added"]
    done = [e.output_index for e in events if e.type == "response.output_item.done"]
    assert sorted(added) == sorted(done) == list(range(len(added)))


def test_a_tool_conversation(client, model):
    question = {"role": "user", "content": "What is the weather in Oslo?"}
    called = client.responses.create(
        model=model, input=[question], tools=[WEATHER], tool_choice="required"
    )
    call = next(item for item in called.output if item.type == "function_call")
    assert call.name == "get_weather" and "city" in json.loads(call.arguments)
    assert called.status == "completed"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Snow."}
    answered = client.responses.create(
        model=model,
        tools=[WEATHER],
        max_output_tokens=16,
        input=[question, *[item.to_dict() for item in called.output], result],
    )
    assert answered.output_text


def test_there_is_no_state(client):
    for asked in [{"store": True}, {"previous_response_id": "resp_1"}]:
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model=OPENAI, **ASK, **asked)
        assert next(iter(asked)) in str(refused.value)
