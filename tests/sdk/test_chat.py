"""Chat completions with the official client, whole and streaming, for a model behind each dialect.

What a caller observes must not depend on the dialect: the shape, the finish reasons and the usage
are asserted by the same code for all.
"""

import asyncio
import base64
import itertools

import openai
import pytest
from conftest import (
    ANTHROPIC,
    BEDROCK,
    COHERE,
    GEMINI,
    MISTRAL,
    MODELS,
    OLLAMA,
    OPENAI,
    RESPONSES,
    ask,
)

# Dollars per token of prompt and completion, as the demo's catalog has them.
PRICES = {
    OPENAI: (0.15e-6, 0.60e-6),
    ANTHROPIC: (3e-6, 15e-6),
    RESPONSES: (0.20e-6, 0.80e-6),
    GEMINI: (1.25e-6, 10e-6),
    BEDROCK: (0.80e-6, 3.20e-6),
    COHERE: (2.50e-6, 10e-6),
    MISTRAL: (0.40e-6, 2e-6),
    OLLAMA: (0.05e-6, 0.10e-6),
}

# Dialects in which a provider sends the arguments of a call in one piece.
WHOLE_CALLS = {GEMINI, MISTRAL, OLLAMA}
# Dialects that have no word for stop texts, and for a demand that a tool be called.
NO_STOP = {RESPONSES}
NO_DEMAND = {OLLAMA}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        },
    },
}
ARGUMENTS = '{"city":"Oslo","days":1,"unit":"celsius"}'


def check_usage(usage, model, completion, prompt=None, reasoning=0):
    """Counts add up, and the cost is the catalog's price for them."""
    assert usage.completion_tokens == completion
    assert usage.prompt_tokens > 0
    assert prompt is None or usage.prompt_tokens == prompt
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert usage.completion_tokens_details.reasoning_tokens == reasoning
    per_prompt, per_completion = PRICES[model]
    cost = usage.prompt_tokens * per_prompt + usage.completion_tokens * per_completion
    assert usage.cost == pytest.approx(cost, abs=1e-9)


class Collected:
    """A stream put together again, with everything that every chunk must satisfy."""

    def __init__(self, chunks):
        self.content, self.reasoning, self.tools, self.details = "", "", {}, []
        self.finish = self.usage = None
        self.chunks = list(chunks)
        for chunk in self.chunks:
            self._take(chunk)
        assert len({chunk.id for chunk in self.chunks}) == 1, "one id"
        assert len({chunk.model for chunk in self.chunks}) == 1, "one model"
        roles = [c.choices[0].delta.role for c in self.chunks if c.choices]
        assert roles[0] == "assistant" and not any(roles[1:]), "the role comes once and first"

    def _take(self, chunk):
        assert chunk.object == "chat.completion.chunk"
        assert self.usage is None, "nothing follows the usage"
        if not chunk.choices:
            self.usage = chunk.usage
            return
        (choice,) = chunk.choices
        assert choice.index == 0
        assert self.finish is None, "no content follows the finish"
        self.content += choice.delta.content or ""
        self.reasoning += getattr(choice.delta, "reasoning", None) or ""
        self.details += getattr(choice.delta, "reasoning_details", None) or []
        for call in choice.delta.tool_calls or []:
            if call.index not in self.tools:
                assert call.id and call.type == "function" and call.function.name
                self.tools[call.index] = [call.id, call.function.name, ""]
            self.tools[call.index][2] += call.function.arguments or ""
        self.finish = choice.finish_reason


def test_whole(client, model):
    answer = client.chat.completions.create(model=model, **ask("Hello"))
    assert answer.object == "chat.completion"
    (choice,) = answer.choices
    assert choice.index == 0
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.refusal is None
    assert choice.message.tool_calls is None
    assert len(choice.message.content.split()) == 32
    check_usage(answer.usage, model, completion=32)


@pytest.mark.parametrize("options", [None, {"include_usage": True}, {"include_usage": False}])
def test_a_stream_is_the_whole_answer_in_pieces(client, model, options):
    """Usage comes with every stream, as OpenRouter has it, whatever the stream options say."""
    whole = client.chat.completions.create(model=model, **ask("Hello"))
    more = {} if options is None else {"stream_options": options}
    with client.chat.completions.create(model=model, stream=True, **ask("Hello", **more)) as chunks:
        streamed = Collected(chunks)
    assert streamed.content == whole.choices[0].message.content
    assert streamed.finish == "stop"
    assert len(streamed.chunks) > 32, "a chunk for each token"
    check_usage(streamed.usage, model, completion=32, prompt=whole.usage.prompt_tokens)
    assert streamed.usage.cost == whole.usage.cost


def test_the_dialects_agree(client):
    """The same request has the same usage and finish behind every dialect."""
    requests = [
        ask("Hello"),
        # Responses takes no limit below 16.
        ask("Grüße, 世界 🌍", max_tokens=20),
        ask("weather?", tools=[WEATHER]),
        {"messages": [{"role": "system", "content": "Be brief."}, *ask("Hi")["messages"]]},
    ]
    for request in requests:
        seen = []
        for model in MODELS:
            whole = client.chat.completions.create(model=model, **request)
            streamed = Collected(client.chat.completions.create(model=model, stream=True, **request))
            usages = [
                (u.prompt_tokens, u.completion_tokens, u.total_tokens)
                for u in (whole.usage, streamed.usage)
            ]
            assert usages[0] == usages[1]
            assert whole.choices[0].finish_reason == streamed.finish
            assert (whole.choices[0].message.content or "") == streamed.content
            seen.append((usages[0], streamed.finish, sorted(streamed.tools)))
        assert all(one == seen[0] for one in seen), dict(zip(MODELS, seen))


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_length(client, model, limit):
    request = ask("Hello", **{limit: 17})
    whole = client.chat.completions.create(model=model, **request)
    assert whole.choices[0].finish_reason == "length"
    assert len(whole.choices[0].message.content.split()) == 17
    check_usage(whole.usage, model, completion=17)
    streamed = Collected(client.chat.completions.create(model=model, stream=True, **request))
    assert (streamed.finish, streamed.content) == ("length", whole.choices[0].message.content)
    check_usage(streamed.usage, model, completion=17)


def test_stop(client, model):
    if model in NO_STOP:
        pytest.skip("the provider has no word for it")
    words = client.chat.completions.create(model=model, **ask("Hello")).choices[0].message.content
    end = words.split()[4]
    before = words[: words.index(end)]
    for stop in (end, [end, "no such word"]):
        request = ask("Hello", stop=stop)
        whole = client.chat.completions.create(model=model, **request)
        assert whole.choices[0].finish_reason == "stop"
        assert whole.choices[0].message.content == before
        streamed = Collected(client.chat.completions.create(model=model, stream=True, **request))
        assert (streamed.finish, streamed.content) == ("stop", before)


def test_a_tool_call_and_its_result(client, model):
    question = {"role": "user", "content": "What is the weather like?"}
    request = {"messages": [question], "tools": [WEATHER]}
    whole = client.chat.completions.create(model=model, **request)
    assert whole.choices[0].finish_reason == "tool_calls"
    message = whole.choices[0].message
    assert message.content is None
    (call,) = message.tool_calls
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert call.function.arguments == ARGUMENTS
    assert whole.usage.completion_tokens > 0

    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain, 7 °C"}
    turns = [question, message, result]
    answer = client.chat.completions.create(model=model, messages=turns, tools=[WEATHER])
    assert answer.choices[0].finish_reason == "stop"
    assert len(answer.choices[0].message.content.split()) == 32
    assert answer.usage.prompt_tokens > whole.usage.prompt_tokens
    streamed = Collected(
        client.chat.completions.create(model=model, messages=turns, tools=[WEATHER], stream=True)
    )
    assert streamed.content == answer.choices[0].message.content


def test_a_streamed_tool_call(client, model):
    chunks = client.chat.completions.create(
        model=model, stream=True, **ask("The weather, please.", tools=[WEATHER])
    )
    streamed = Collected(chunks)
    assert streamed.finish == "tool_calls"
    assert streamed.content == ""
    ((call_id, name, arguments),) = streamed.tools.values()
    assert call_id
    assert (name, arguments) == ("get_weather", ARGUMENTS)
    assert list(streamed.tools) == [0]
    deltas = [c for chunk in streamed.chunks if chunk.choices for c in chunk.choices[0].delta.tool_calls or []]
    assert len(deltas) > 2 or model in WHOLE_CALLS, "the arguments come in pieces"


def test_results_of_parallel_calls(client, model):
    """A turn with two calls and their results, in either order, reaches the provider well-formed."""
    calls = [
        {"id": f"call_{i}", "type": "function", "function": {"name": "get_weather", "arguments": a}}
        for i, a in enumerate(['{"city":"Oslo"}', '{"city":"Bergen"}'])
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "7 °C"} for call in calls]
    for order in itertools.permutations(results):
        turns = [
            {"role": "user", "content": "Weather in Oslo and Bergen?"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            *order,
            {"role": "user", "content": "And in short?"},
        ]
        answer = client.chat.completions.create(
            model=model, messages=turns, tools=[WEATHER], parallel_tool_calls=True
        )
        assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("choice", "finish"),
    [
        ("none", "stop"),
        ("auto", "stop"),
        ("required", "tool_calls"),
        ({"type": "function", "function": {"name": "get_weather"}}, "tool_calls"),
    ],
    ids=["none", "auto", "required", "named"],
)
def test_tool_choice(client, model, choice, finish):
    if model in NO_DEMAND and finish == "tool_calls":
        pytest.skip("the provider has no word for it")
    answer = client.chat.completions.create(
        model=model, **ask("Hello", tools=[WEATHER], tool_choice=choice)
    )
    assert answer.choices[0].finish_reason == finish
    assert bool(answer.choices[0].message.tool_calls) == (finish == "tool_calls")


def test_the_clients_own_stream_helper(client, model):
    """`chat.completions.stream` puts the chunks together itself and is strict about them."""
    with client.chat.completions.stream(model=model, **ask("Hello")) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].finish_reason == "stop"
    assert len(final.choices[0].message.content.split()) == 32
    assert final.usage.completion_tokens == 32


def test_parts_of_content(client, model):
    """Several texts, and a system message in parts."""
    answer = client.chat.completions.create(
        model=model,
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {
                "role": "user",
                "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
            },
        ],
        temperature=0.5,
        top_p=0.9,
        user="somebody",
        seed=7,
    )
    assert answer.choices[0].finish_reason == "stop"


PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360"
        "606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()


def test_an_image(client, model):
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": content}]
    )
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    "wish",
    [{"reasoning_effort": "low"}, {"extra_body": {"reasoning": {"effort": "high"}}}],
    ids=["reasoning_effort", "reasoning"],
)
def test_reasoning(client, wish):
    """The anthropic model thinks aloud when asked, and its thinking is signed."""
    request = ask("Think.", max_tokens=8000, **wish)
    whole = client.chat.completions.create(model=ANTHROPIC, **request)
    message = whole.choices[0].message
    assert len(message.reasoning.split()) == 8
    (detail,) = message.reasoning_details
    assert detail["type"] == "reasoning.text"
    assert detail["text"] == message.reasoning
    assert detail["signature"]
    check_usage(whole.usage, ANTHROPIC, completion=40, reasoning=8)

    streamed = Collected(client.chat.completions.create(model=ANTHROPIC, stream=True, **request))
    assert streamed.reasoning == message.reasoning
    assert streamed.content == message.content
    assert "".join(d.get("text") or "" for d in streamed.details) == message.reasoning
    assert [d for d in streamed.details if d.get("signature")], "the signature comes too"
    check_usage(streamed.usage, ANTHROPIC, completion=40, reasoning=8)

    # What came back can be sent back, as a tool turn needs it.
    turns = [
        *request["messages"],
        {
            "role": "assistant",
            "content": message.content,
            "reasoning_details": message.reasoning_details,
        },
        {"role": "user", "content": "Go on."},
    ]
    again = client.chat.completions.create(
        model=ANTHROPIC, messages=turns, max_tokens=8000, **wish
    )
    assert again.choices[0].finish_reason == "stop"


def test_reasoning_can_be_left_out(client):
    hidden = ask("Think.", max_tokens=8000, extra_body={"reasoning": {"effort": "low", "exclude": True}})
    whole = client.chat.completions.create(model=ANTHROPIC, **hidden)
    assert not whole.choices[0].message.reasoning
    assert getattr(whole.choices[0].message, "reasoning_details", None) is None
    check_usage(whole.usage, ANTHROPIC, completion=40, reasoning=8)
    streamed = Collected(client.chat.completions.create(model=ANTHROPIC, stream=True, **hidden))
    assert (streamed.reasoning, streamed.details) == ("", [])
    assert streamed.content == whole.choices[0].message.content


def test_the_hosts_of_one_model(client):
    """Whichever of three hosts and two dialects answers, the shape is the same."""
    for _ in range(12):
        answer = client.chat.completions.create(
            model="meta-llama/llama-3.3-70b-instruct", **ask("Hello")
        )
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.completion_tokens == 32
        assert answer.usage.cost > 0


def test_many_at_once(demo, model):
    """Fifty requests at the same time, half of them streamed, without a limit on their answers."""

    async def one(client, number):
        request = ask(f"Number {number}")
        if number % 2:
            answer = await client.chat.completions.create(model=model, **request)
            return answer.choices[0].finish_reason, answer.usage.completion_tokens
        stream = await client.chat.completions.create(model=model, stream=True, **request)
        streamed = Collected([chunk async for chunk in stream])
        return streamed.finish, streamed.usage.completion_tokens

    async def all_of_them():
        async with openai.AsyncOpenAI(
            base_url=demo.facts["base_url"], api_key=demo.facts["api_key"], max_retries=0
        ) as client:
            return await asyncio.gather(*(one(client, number) for number in range(50)))

    assert asyncio.run(all_of_them()) == [("stop", 32)] * 50


def test_a_stream_that_is_left(client, model):
    """A client that has seen enough closes the stream; the connection's pool survives it."""
    for _ in range(3):
        request = ask("Hello [[sim token_ms=20]]")
        with client.chat.completions.create(model=model, stream=True, **request) as chunks:
            for _ in itertools.islice(chunks, 3):
                pass
    assert client.chat.completions.create(model=model, **ask("Hello")).usage.completion_tokens == 32
