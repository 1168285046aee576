"""OpenAI's protocol as its official client speaks it, against a real server."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion
from starlette.testclient import TestClient

from qa.answerer import Answerer
from qa.policy import DISCLAIMER
from tests.test_protocols import same
from tests.test_side_prompts import SIDE_PROMPTS
from web.chats import ASSISTANT, USER, Turn, asked_from
from web.dialects import Dialects
from web.engine import LOADING, Engine
from web.openai import router as openai_router
from web.problem import Problem
from web.rest import create_app

QUESTION = "why are office workers' hip flexors so tight?"
EMERGENCY = "my back hurts and i wet myself and my crotch is numb"


@pytest.fixture(scope="module")
def client(server_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server_url}/v1", api_key="any", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, *messages: Any, **more: Any) -> ChatCompletion:
    completion = client.chat.completions.create(model="citewell", messages=list(messages), **more)
    assert isinstance(completion, ChatCompletion)
    return completion


def said(content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


def record(completion: ChatCompletion) -> Any:
    assert completion.model_extra
    return completion.model_extra["citewell"]


def test_quotes_are_annotated_where_they_stand(client: openai.OpenAI, server_url: str) -> None:
    completion = ask(client, said(QUESTION))
    message = completion.choices[0].message
    quotes = record(completion)["quotes"]
    assert message.annotations
    assert len(message.annotations) == len(quotes) == 3
    for annotation, quote in zip(message.annotations, quotes, strict=True):
        cited = annotation.url_citation
        assert message.content
        assert message.content[cited.start_index : cited.end_index] == quote["text"]
        assert cited.title == f"{quote['citation']['title']} > {quote['citation']['heading']}"
        assert cited.url.startswith(f"{server_url}/passages/{quote['citation']['passage_id']}?start=")
        assert quote["text"].split()[0] in httpx.get(cited.url).text
    assert (completion.choices[0].finish_reason, message.role, message.refusal) == ("stop", "assistant", None)
    assert completion.id == f"chatcmpl-{record(completion)['id']}"


def test_a_stream_says_what_the_whole_says(client: openai.OpenAI) -> None:
    whole = ask(client, said(QUESTION))
    chunks = list(
        client.chat.completions.create(
            model="citewell",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    annotated = [(chunk.choices[0].delta.model_extra or {}).get("annotations") for chunk in chunks[:-1]]
    found = [annotations for annotations in annotated if annotations]
    assert found == [[note.model_dump() for note in whole.choices[0].message.annotations or []]]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert same((chunks[-1].model_extra or {})["citewell"]) == same(record(whole))


def test_every_quote_comes_in_one_chunk(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="citewell", messages=[{"role": "user", "content": QUESTION}], stream=True)
    chunks = list(stream)
    contents = [chunk.choices[0].delta.content or "" for chunk in chunks]
    for quote in (chunks[-1].model_extra or {})["citewell"]["quotes"]:
        assert sum(quote["text"] in content for content in contents) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_the_stream_ends_as_clients_expect(server_url: str) -> None:
    body = {"messages": [said(QUESTION)], "stream": True}
    response = httpx.post(f"{server_url}/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.text.endswith("\n\ndata: [DONE]\n\n")
    assert all("usage" not in json.loads(line[6:]) for line in response.text.split("\n\n") if line and "[DONE]" not in line)


def test_the_helper_for_streams_puts_the_message_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="citewell", messages=[{"role": "user", "content": QUESTION}]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ask(client, said(QUESTION)).choices[0].message.content


def test_usage_counts_words(client: openai.OpenAI) -> None:
    completion = ask(client, said("Be brief.", "system"), said(QUESTION))
    assert completion.usage
    assert completion.usage.prompt_tokens == 2 + len(QUESTION.split())
    assert completion.usage.completion_tokens == len((completion.choices[0].message.content or "").split())
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_fields_that_steer_a_model_steer_nothing(client: openai.OpenAI) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    more = {
        "temperature": 2.0,
        "seed": 7,
        "max_tokens": 1,
        "tools": [tool],
        "n": 1,
        "user": "somebody",
        "extra_body": {"top_k": 40},
    }
    steered = ask(client, said("Answer like a pirate.", "system"), said(QUESTION), **more)
    assert same(record(steered)) == same(record(ask(client, said(QUESTION))))


def test_our_own_options_are_read(client: openai.OpenAI) -> None:
    assert len(record(ask(client, said(QUESTION), extra_body={"citewell": {"top_k": 1}}))["quotes"]) == 1
    after = record(ask(client, said(EMERGENCY), extra_body={"citewell": {"after_alert": True}}))
    assert after["alert"]
    assert after["status"] != "alert"


def test_the_question_is_the_text_of_the_last_user_message(client: openai.OpenAI) -> None:
    parts = [
        {"type": "text", "text": "what is"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "sciatica?"},
    ]
    asked = ask(client, said("how do I bake bread?"), said("[...]", "assistant"), said(parts), said("", "assistant"))
    assert record(asked)["quotes"][0]["citation"]["title"] == "Sciatica"


def test_a_follow_up_is_resolved_from_earlier_turns(client: openai.OpenAI) -> None:
    asked = ask(client, said("what is paget's disease of bone?"), said("[1] ...", "assistant"), said("what are its symptoms?"))
    assert record(asked)["searched_as"] == "paget's disease bone: what are its symptoms?"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", SIDE_PROMPTS)
def test_side_prompts_get_nothing(server_url: str, name: str, stream: bool) -> None:
    body = {"messages": [said(QUESTION), said("[1] ...", "assistant"), said(SIDE_PROMPTS[name])], "stream": stream}
    response = httpx.post(f"{server_url}/chat/completions", json=body).raise_for_status()
    told = (
        [json.loads(line[6:]) for line in response.text.split("\n\n") if line and "[DONE]" not in line]
        if stream
        else [response.json()]
    )
    assert told[-1]["citewell"] is None
    assert {choice.get("delta", choice.get("message")).get("content", "") for part in told for choice in part["choices"]} == {
        ""
    }
    assert told[-1]["choices"][0]["finish_reason"] == "stop"


def test_side_prompts_as_system_message_or_task_get_nothing(client: openai.OpenAI) -> None:
    for role in ("system", "developer"):
        tools = said(SIDE_PROMPTS["Open WebUI, tools"], role)
        assert record(ask(client, tools, said("Query: my hip hurts"))) is None
    assert record(ask(client, said("my hip hurts"), metadata={"task": "title_generation"})) is None
    assert record(ask(client, said("my hip hurts"), metadata={"task": "qa"})) is not None


def test_an_emergency_stands_alone_until_its_card_was_seen(client: openai.OpenAI) -> None:
    card = ask(client, said(EMERGENCY))
    text = card.choices[0].message.content or ""
    assert record(card)["status"] == "alert"
    assert text.startswith(record(card)["alert"]["title"])
    assert text.endswith(DISCLAIMER.text)
    again = ask(client, said(EMERGENCY), said(text, "assistant"), said(f" {EMERGENCY}\n"))
    assert record(again)["status"] != "alert"
    assert (again.choices[0].message.content or "").startswith(record(card)["alert"]["title"])
    twice = ask(client, said(EMERGENCY), said(EMERGENCY))
    assert record(twice)["status"] == "alert"


def seen(*turns: tuple[str, str]) -> bool:
    return asked_from([Turn(role, text) for role, text in turns]).after_alert


def test_only_the_card_between_two_equal_questions_counts_as_seen() -> None:
    card = "Back pain with numbness, weak legs or bladder or bowel trouble is an emergency\n\n- Call ..."
    assert seen((USER, EMERGENCY), (ASSISTANT, card), (USER, EMERGENCY))
    assert not seen((USER, EMERGENCY), (ASSISTANT, "[1] ..."), (USER, EMERGENCY))
    assert not seen((USER, EMERGENCY), (USER, card), (USER, EMERGENCY))
    assert not seen((USER, EMERGENCY), (ASSISTANT, card), (USER, "my back hurts and my crotch is numb"))
    assert not seen((USER, EMERGENCY), (ASSISTANT, card), (USER, "thanks"), (ASSISTANT, "[1]"), (USER, EMERGENCY))
    assert not seen((ASSISTANT, card), (USER, EMERGENCY))


def test_a_history_is_cut_to_what_may_be_asked() -> None:
    turns = [Turn(USER, f"{number} " + "x" * 3000) for number in range(30)]
    asked = asked_from([*turns, Turn(USER, "\ud800"), Turn(USER, " "), Turn("tool", "hip"), Turn(USER, "why?")])
    assert asked.question == "why?"
    assert [text.split()[0] for text in asked.history] == [str(number) for number in range(10, 30)]
    assert {len(text) for text in asked.history} == {2000}


def test_nothing_said_is_no_question() -> None:
    with pytest.raises(Problem, match="no message of the user's holds text"):
        asked_from([Turn(ASSISTANT, "hip"), Turn(USER, "\n")])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "messages: Field required"),
        ({"messages": []}, "at least 1 item"),
        ({"messages": [{"content": "hip"}]}, "role"),
        ({"messages": [{"role": "user", "content": 7}]}, "content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "There is no question"),
        ({"messages": [{"role": "assistant", "content": "hip"}]}, "There is no question"),
        ({"messages": [{"role": "user", "content": "x" * 2001}]}, "at most 2,000"),
        ({"messages": [{"role": "user", "content": "hip"}], "n": 2}, "n: "),
        ({"messages": [{"role": "user", "content": "hip"}], "stream": "yes"}, "stream"),
        ({"messages": [{"role": "user", "content": "hip"}], "citewell": {"top_k": 21}}, "top_k"),
    ],
)
def test_errors_are_both_openais_and_problem_details(client: openai.OpenAI, body: Any, words: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="Error code: 422"):
        client.post("/chat/completions", body=body, cast_to=ChatCompletion)
    response = httpx.post(f"{client.base_url}chat/completions", json=body)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert words in problem["detail"]
    assert problem["error"] == {"message": problem["detail"], "type": "invalid_request_error", "param": None, "code": None}
    assert {"type", "title", "status", "detail"} < set(problem)


def test_the_client_reads_our_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="There is no question") as caught:
        ask(client, said("hip", "assistant"))
    assert caught.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError, match="There is one model, citewell"):
        client.models.retrieve("gpt-4o")


@pytest.mark.parametrize("content", ["hip \ud800 pain", [{"type": "text", "text": "\udfff"}]])
def test_text_that_is_no_text_is_refused(server_url: str, content: Any) -> None:
    body = json.dumps({"messages": [said(content)]}).encode()
    response = httpx.post(f"{server_url}/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_errors_of_the_server_are_in_the_dialect_too(answerer: Answerer) -> None:
    """Not ready, no such address, a route that fails: whichever layer says so, clients find their member, others don't."""
    app = create_app(Engine(lambda: answerer), openai_router)

    @app.get("/v1/models/failing/now")
    def failing() -> None:
        raise RuntimeError("broken")

    app.add_middleware(Dialects)
    said_ = TestClient(app, raise_server_exceptions=False)
    loading = said_.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": QUESTION}]})
    assert (loading.status_code, loading.json()["error"]["type"], loading.headers["retry-after"]) == (503, "server_error", "1")
    assert said_.get("/v1/models").json()["error"]["message"] == LOADING
    assert said_.get("/v1/models/failing/now").json()["error"]["type"] == "server_error"
    assert said_.get("/v1/chat/completions").json()["error"]["type"] == "invalid_request_error"
    assert "error" not in said_.post("/v1/ask", json={"question": QUESTION}).json()
    assert "error" not in said_.get("/v1/modelsandmore").json()


def test_models_are_listed(client: openai.OpenAI, server_url: str) -> None:
    listed = client.models.list().data
    assert [(model.id, model.object, model.owned_by) for model in listed] == [("citewell", "model", "citewell")]
    assert listed[0].created > 1_700_000_000
    assert client.models.retrieve("citewell") == listed[0]
    assert httpx.get(f"{server_url}/models").json() == httpx.get(f"{server_url}/v1/models").json()
    assert httpx.get(f"{server_url}/models/citewell").json() == httpx.get(f"{server_url}/v1/models/citewell").json()


def test_the_address_without_v1_is_the_same(server_url: str) -> None:
    body = {"messages": [said(QUESTION)]}
    told = [httpx.post(f"{server_url}{path}", json=body).json() for path in ("/chat/completions", "/v1/chat/completions")]
    assert told[0]["choices"] == told[1]["choices"]
    assert "/chat/completions" not in httpx.get(f"{server_url}/openapi.json").json()["paths"]
