"""The recipes of docs/embedding.md that need no browser, run as they stand there; and its tables, compared with the code."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from qa.policy import DISCLAIMER
from tests.conftest import PROJECT, run_command, running_server
from tests.recipes import EMBEDDING, SERVER, SITE, recipes, section, table
from tests.test_protocols import same
from tests.test_side_prompts import SIDE_PROMPTS
from web.origins import parse_origins
from web.widget_source import FOLDER, STYLE, WORDS, joined

SCIATICA = "Sciatica is a symptom of trouble with the sciatic nerve"
KEY = "a-key-of-the-recipes"


def run_shell(command: str, folder: Path = PROJECT) -> str:
    """Run a shell recipe and return what it printed; it must succeed and say nothing else."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


# The tables of the widget.


def test_attributes_are_those_of_the_widget() -> None:
    source = (FOLDER / "settings.js").read_text("utf-8")
    texts = re.search(r"TEXTS = \[(.*?)\]", source, re.DOTALL)
    assert texts
    known = {*re.findall(r'"([\w-]+)"', texts[1]), "feedback", "open", "lang", "strings"}
    assert set(table("Attributes", "attribute")) == known
    assert 'ATTRIBUTES = [...TEXTS, FLAG, "open", "lang", "strings"]' in source
    assert 'PROPERTIES = [...[...TEXTS, FLAG].map(camel), "strings"]' in source


def test_methods_and_events_are_those_of_the_widget() -> None:
    source = (FOLDER / "chat.js").read_text("utf-8")
    methods = re.findall(r"^  (?:async )?(?!\w+Callback)(\w+)\(.*\) \{$", source, re.MULTILINE)
    assert [name.partition("(")[0] for name in table("Methods and events", "method")] == methods
    told = set(re.findall(r'#tell\("([\w-]+)"', source))
    assert set(table("Methods and events", "event")) == told


def test_custom_properties_and_their_defaults_are_those_of_the_style_sheet() -> None:
    style = STYLE.read_text("utf-8")
    documented = table("Style", "custom property")
    kept_back = r"--citewell-(?:emergency|urgent|crisis)(?:-tint)?|--citewell-scheme"
    assert set(documented) == {name for name in re.findall(r"--citewell-[\w-]+", style) if not re.fullmatch(kept_back, name)}
    for name, default in documented.items():
        value = default.partition("`;")[0].partition("`,")[0].strip("`")
        assert re.search(rf"{name}(?:: |: var\([\w-]+, |, ){re.escape(value)}[;),]", style), name


def test_words_named_are_among_the_interface_words() -> None:
    named = re.search(r"such as (.*?)\. What", section("Style"), re.DOTALL)
    assert named
    strings = json.loads(WORDS.read_text("utf-8"))
    names = set(re.findall(r"`(\w+)`", named[1]))
    assert len(names) > 5
    assert names < set(strings["en"])
    replaced = re.search(r"chat\.strings = \{(.*)\};", recipes("Methods and events", "js")[0])
    assert replaced
    assert set(re.findall(r"(\w+):", replaced[1])) < set(strings["en"])


def test_the_module_is_as_small_as_is_said() -> None:
    assert "under 15 kB packed" in EMBEDDING
    assert len(joined().packed) < 15_000


def test_only_the_two_example_hosts_are_named() -> None:
    assert set(re.findall(r"https?://[\w.-]+", EMBEDDING)) == {SERVER, SITE}


# What the server is told, and the line with the hash.


def test_the_server_takes_the_settings_that_the_recipes_give() -> None:
    (start,) = recipes("Before all others", "sh")
    given = dict(word.split("=", 1) for word in shlex.split(start)[:-2])
    assert parse_origins(given["CITEWELL_ALLOW_ORIGINS"]) == {SITE}
    assert set(given) == {"CITEWELL_ALLOW_ORIGINS", "CITEWELL_RATE"}
    assert shlex.split(start)[-2:] == ["make", "serve"]
    (public,) = recipes("ChatGPT", "sh")
    assert shlex.split(public) == [f"CITEWELL_PUBLIC_URL={SERVER}", "make", "serve"]


def test_the_line_with_the_hash_comes_from_the_server(server_url: str) -> None:
    (command,) = [block for block in recipes("A web page: one line", "sh", server_url) if block.startswith("curl")]
    _, form, _ = recipes("A web page: one line", "html", server_url)[:3]
    module = joined()
    expected = form.replace("VERSION", module.version).replace("sha384-HASH", module.integrity)
    assert run_shell(command) == expected
    assert httpx.get(f"{server_url}/widget/{module.version}-other/widget.js").status_code == 404


def test_the_npm_package_is_made(tmp_path: Path) -> None:
    command = next(block for block in recipes("Versions", "sh") if "--npm" in block)
    write, pack = command.splitlines()
    program, *arguments = shlex.split(write)
    assert program == ".venv/bin/python"
    folder = tmp_path / arguments.pop()
    assert run_command(*arguments, str(folder)).returncode == 0
    assert (folder / "widget.js").read_bytes() == joined().content
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    packed = subprocess.run(shlex.split(pack), cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    name = re.search(r"npm install \./(\S+\.tgz)", section("Versions"))
    assert name
    assert packed.stdout.strip() == name[1]


# curl and the openai library.


def test_curl_gets_answers(server_url: str) -> None:
    plain, follow_up, first, stream, _ = recipes("curl", "sh", server_url)
    assert json.loads(run_shell(plain))["quotes"][0]["text"].startswith(SCIATICA)
    assert run_shell(first).startswith(SCIATICA)
    record = json.loads(run_shell(follow_up))
    assert "sciatica" in (record["searched_as"] or "").lower() or record["quotes"]
    assert all(quote["citation"]["publisher"] == "citewell" for quote in record["quotes"])
    assert len(record["quotes"]) <= 1
    events = re.findall(r"^event: (\w+)", run_shell(stream), re.MULTILINE)
    assert events[0] == "alert"
    assert events[-2:] == ["disclaimer", "done"]


def test_curl_with_a_key(starter_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = re.search(r"`citewell-key.txt` holds one line, `(.*)`", EMBEDDING)
    assert held
    (tmp_path / "citewell-key.txt").write_text(held[1].replace("KEY", KEY) + "\n", encoding="utf-8")
    monkeypatch.setenv("CITEWELL_API_KEYS", KEY)
    with running_server(starter_path, tmp_path / "log.txt") as url:
        *_, keyed = recipes("curl", "sh", url)
        assert json.loads(run_shell(keyed, tmp_path))["quotes"][0]["text"].startswith(SCIATICA)
        assert httpx.post(f"{url}/v1/ask", json={"question": "what is sciatica?"}).status_code == 401


def test_python(server_url: str) -> None:
    (code,) = recipes("Python", "python", server_url)
    done = run_command("-c", code)
    assert done.returncode == 0, done.stderr
    record = httpx.post(f"{server_url}/v1/ask", json={"question": "what is sciatica?"}).json()
    for quote in record["quotes"]:
        assert quote["text"] in done.stdout
        assert f"{server_url}/passages/{quote['citation']['passage_id']}?" in done.stdout
    assert DISCLAIMER.text in done.stdout


# Open WebUI: its requests, and its way to read the replies (backend/open_webui/routers/openai.py, utils/middleware.py).


@pytest.fixture
def webui(server_url: str) -> Iterator[httpx.Client]:
    """A client with the address and headers that Open WebUI makes of the recipe's settings."""
    (settings,) = recipes("Open WebUI", "ini", server_url)
    given = dict(line.split("=", 1) for line in settings.splitlines())
    assert set(given) == {"OPENAI_API_BASE_URLS", "OPENAI_API_KEYS"}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {given['OPENAI_API_KEYS']}"}
    with httpx.Client(base_url=given["OPENAI_API_BASE_URLS"], headers=headers, timeout=30) as client:
        yield client


def chat(client: httpx.Client, *messages: dict[str, Any]) -> tuple[str, list[dict[str, Any]], dict[str, int]]:
    """Return the text, the sources and the usage that Open WebUI's handler of streams makes of a reply."""
    body = {"stream": True, "model": "citewell", "messages": list(messages), "stream_options": {"include_usage": True}}
    text, sources = "", []
    usage: dict[str, int] = {}
    with client.stream("POST", "/chat/completions", content=json.dumps(body)) as reply:
        assert reply.status_code == 200
        assert "text/event-stream" in reply.headers["Content-Type"]
        for line in reply.iter_lines():
            data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
            if not data or data == "[DONE]":
                continue
            chunk = json.loads(data)
            assert "error" not in chunk
            usage |= chunk.get("usage") or {}
            for choice in chunk["choices"][:1]:
                text += choice["delta"].get("content") or ""
                for note in choice["delta"].get("annotations") or []:
                    if note.get("type") == "url_citation" and "url_citation" in note:
                        cited = note["url_citation"]
                        source = {"name": cited.get("title"), "url": cited.get("url", "")}
                        sources.append({"source": source, "document": [cited["title"]], "metadata": [{"source": cited["url"]}]})
    return text, sources, usage


def said(content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


def test_open_webui_lists_the_model(webui: httpx.Client) -> None:
    listed = webui.get("/models").raise_for_status().json()
    assert [(model["id"], model["object"]) for model in listed["data"]] == [("citewell", "model")]
    assert re.search(r"Choose the model `citewell`", section("Open WebUI"))


def test_open_webui_shows_every_quote_as_a_source(webui: httpx.Client, server_url: str) -> None:
    record = httpx.post(f"{server_url}/v1/ask", json={"question": "what is sciatica?"}).json()
    parts = [{"type": "text", "text": "what is sciatica?", "cache_control": {"type": "ephemeral"}}]
    for content in ("what is sciatica?", parts):
        text, sources, usage = chat(webui, said("You are helpful.", "system"), said(content))
        assert all(quote["text"] in text for quote in record["quotes"])
        assert text.endswith(DISCLAIMER.text)
        cited = [quote["citation"] for quote in record["quotes"]]
        assert [source["source"]["name"] for source in sources] == [f"{each['title']} > {each['heading']}" for each in cited]
        for source, each in zip(sources, cited, strict=True):
            assert source["source"]["url"].startswith(f"{server_url}/passages/{each['passage_id']}?")
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_open_webui_goes_on_talking_after_a_card(webui: httpx.Client) -> None:
    question = said("my back hurts and i wet myself and my crotch is numb")
    card, sources, _ = chat(webui, question)
    assert sources == []
    again, _, _ = chat(webui, question, said(card, "assistant"), question)
    assert again.startswith(card.partition("\n")[0])
    text, sources, _ = chat(webui, said("what is sciatica?"), said("...", "assistant"), said("and how is it treated?"))
    assert sources
    assert "sciatica" in text.lower()


@pytest.mark.parametrize("task", sorted(name for name in SIDE_PROMPTS if name.startswith("Open WebUI")))
def test_open_webui_s_own_prompts_get_an_empty_reply(webui: httpx.Client, task: str) -> None:
    body = {"model": "citewell", "messages": [said(SIDE_PROMPTS[task])], "stream": False, "max_completion_tokens": 1000}
    reply = webui.post("/chat/completions", content=json.dumps(body)).raise_for_status().json()
    assert reply["choices"][0]["message"]["content"] == ""


# ChatGPT and Claude.


def test_chatgpt_finds_and_fetches(starter_path: Path, tmp_path: Path) -> None:
    """What OpenAI asks of a connector: two tools, one text each in and out, and an address without which nothing is cited."""
    address = re.search(rf"the address `{SERVER}(/\w+)`", section("ChatGPT"))
    assert address

    async def talk() -> None:
        async with Client(url + address[1]) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"search", "fetch"}
            assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
            found = await client.call_tool("search", {"query": "what is sciatica?"})
            results = json.loads(only_text(found))["results"]
            for result in results:
                assert {"id", "title", "url"} <= set(result)
                assert result["url"].startswith(f"{SERVER}/passages/")
            page = json.loads(only_text(await client.call_tool("fetch", {"id": results[0]["id"]})))
            assert set(page) == {"id", "title", "text", "url", "metadata"}
            assert results[0]["text"] in page["text"]
            assert page["url"].startswith(f"{SERVER}/passages/")

    with running_server(starter_path, tmp_path / "log.txt", "--public-url", SERVER) as url:
        anyio.run(talk)


def only_text(result: Any) -> str:
    (item,) = result.content
    assert (item.type, result.is_error) == ("text", False)
    text: str = item.text
    assert json.loads(text) == result.structured_content
    return text


def test_claude_desktop_starts_the_server_of_its_settings(starter_path: Path, server_url: str, tmp_path: Path) -> None:
    (settings,) = recipes("Claude", "json")
    put = settings.replace("/opt/citewell/build/starter", str(starter_path))
    put = put.replace("/opt/citewell/.venv/bin/python", sys.executable).replace("/opt/citewell", str(PROJECT))
    ((name, server),) = json.loads(put)["mcpServers"].items()
    assert name == "citewell"
    assert set(server) == {"command", "args", "env"}
    parameters = StdioServerParameters(command=server["command"], args=server["args"], env=server["env"], cwd=tmp_path)

    async def talk() -> Any:
        with (tmp_path / "errors.txt").open("w") as errors:
            async with Client(stdio_client(parameters, errlog=errors)) as client:
                return json.loads(only_text(await client.call_tool("search", {"query": "what is sciatica?"})))

    found = anyio.run(talk)
    assert same(found["answer"]) == same(httpx.post(f"{server_url}/v1/ask", json={"question": "what is sciatica?"}).json())
    assert all(result["url"].startswith(f"{SERVER}/passages/") for result in found["results"])
    assert (tmp_path / "errors.txt").read_text() == ""


def test_deep_chat_s_body_is_answered(server_url: str) -> None:
    (page,) = recipes("deep-chat", "html", server_url)
    (connect,) = [json.loads(value) for value in re.findall(r"connect='(.*?)'", page)]
    turns = (("user", "hello"), ("ai", "..."), ("user", "what is sciatica?"))
    body = {"messages": [{"role": role, "text": text} for role, text in turns]}
    reply = httpx.post(connect["url"], json=body).raise_for_status().json()
    assert SCIATICA in reply["text"]
    assert reply["text"].endswith(DISCLAIMER.text)
    assert set(reply) == {"text", "citewell"}
