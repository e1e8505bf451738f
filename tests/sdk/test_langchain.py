"""LangChain's client of OpenAI's form, for a model behind each dialect."""

from langchain_openai import ChatOpenAI


def test_langchain(demo, model):
    chat = ChatOpenAI(
        model=model,
        base_url=demo.facts["base_url"],
        api_key=demo.facts["api_key"],
        max_tokens=24,
        max_retries=0,
        stream_usage=True,
    )
    whole = chat.invoke("Say something about rivers.")
    assert whole.content and whole.usage_metadata["output_tokens"] == 24
    pieces = list(chat.stream("Say something about rivers."))
    assert "".join(piece.content for piece in pieces) == whole.content

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Snow in {city}."

    called = chat.bind_tools([weather], tool_choice="any").invoke("What is the weather in Oslo?")
    (call,) = called.tool_calls
    assert call["name"] == "weather" and isinstance(call["args"]["city"], str)
