"""The one module that is made of the widget's parts: whole, small, the same each time, served to any origin, packed for npm."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from qa.policy import DISCLAIMER
from tests.conftest import PROJECT, run_command
from web.widget_source import FOLDER, PARTS, STYLE, WORDS, joined

LIMIT = 15_000
NODE = shutil.which("node")
# What could run a text as code, keep something, or be seen by the page around.
FORBIDDEN = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|localStorage|cookie|\.style\b|"
    r"scrollIntoView\(\)|autofocus|import\(|window\.|globalThis\.\w+ ?="
)


def test_module_is_the_same_on_every_run() -> None:
    code = "from web.widget_source import joined; print(joined().version)"
    assert run_command("-c", code).stdout.strip() == joined().version == joined.__wrapped__().version


def test_module_is_small_over_the_wire() -> None:
    module = joined()
    assert gzip.decompress(module.packed) == module.content
    assert len(module.packed) <= LIMIT


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_module_parses_and_waits_quietly_where_there_is_no_browser(tmp_path: Path) -> None:
    path = tmp_path / "widget.mjs"
    path.write_bytes(joined().content)
    assert NODE is not None
    subprocess.run([NODE, "--check", str(path)], check=True)
    code = f"const before = Object.keys(globalThis).length; const m = await import({json.dumps(path.as_uri())});"
    code += "console.log(Object.keys(m).length, Object.keys(globalThis).length - before)"
    done = subprocess.run([NODE, "--input-type=module", "-e", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "0"]


def test_every_part_is_joined_and_every_import_met() -> None:
    assert sorted(PARTS) == sorted(path.name for path in FOLDER.glob("*.js"))
    made: set[str] = {"STRINGS", "STYLE"}
    for part in PARTS:
        source = (FOLDER / part).read_text("utf-8")
        imported = re.findall(r"^import (?:\{ ([^}]*) \}|(\w+)) from", source, re.MULTILINE)
        names = {name.strip() for braced, alone in imported for name in (braced or alone).split(",")}
        assert names <= made, part
        made |= set(re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", source, re.MULTILINE))
    assert not re.search(rb"^(import|export)\b", joined().content, re.MULTILINE)


def test_joining_takes_nothing_from_the_code_but_white_space() -> None:
    kept = "".join((FOLDER / part).read_text("utf-8") for part in PARTS)
    kept = re.sub(r"^import [^;]*;$|^export |^\s*/\*.*?\*/|^\s*//.*?$", "", kept, flags=re.MULTILINE | re.DOTALL)
    code = joined().content.decode().split("catch{}\n", 1)[1]
    functions = "|".join(re.findall(r"^(?:async )?function (\w+)", kept, re.MULTILINE))
    shortened = rf"(?<=this\.)#\w+|(?<![\w}}`])#[a-z]\w*(?=[ =(;])|(?<![\w$.#])(?:{functions}|\$[a-z]\d?)(?=\()"
    bare = [re.sub(r"\s+", "", re.sub(shortened, "#", text)) for text in (kept, code)]
    assert bare[0] == bare[1]
    texts = [re.findall(r'"[^"\n]*"', text) for text in (kept, code)]
    assert texts[0] == texts[1]


def test_no_name_stands_at_the_top_of_two_parts() -> None:
    names = [
        name
        for part in PARTS
        for name in re.findall(
            r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", (FOLDER / part).read_text("utf-8"), re.MULTILINE
        )
    ]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("part", PARTS)
def test_parts_keep_what_joining_relies_on_and_nothing_forbidden(part: str) -> None:
    source = (FOLDER / part).read_text("utf-8")
    assert len(source.splitlines()) <= 400
    assert max(map(len, source.splitlines())) <= 140
    code = re.sub(r"^\s*//.*\n|/\*.*?\*/", "", source, flags=re.MULTILINE | re.DOTALL)
    assert all(line.count("`") % 2 == 0 for line in code.splitlines()), "a template over several lines"
    assert not re.search(r"[;{},]\s+//", code), "a comment behind code"
    assert not re.findall(FORBIDDEN, code)


def test_style_sheet_asks_for_nothing_elsewhere() -> None:
    assert not re.search(r"url\(|@import|@font-face", STYLE.read_text("utf-8"))


def test_both_languages_are_complete() -> None:
    strings = json.loads(WORDS.read_text("utf-8"))
    places = {key: {name: re.findall(r"\{\w+\}", text) for name, text in strings[key].items()} for key in ("en", "es")}
    assert places["en"] == places["es"]
    assert all(text.strip() for key in ("en", "es") for text in strings[key].values())
    assert DISCLAIMER.text not in WORDS.read_text("utf-8")
    code = "".join((FOLDER / part).read_text("utf-8") for part in PARTS) + "".join(
        path.read_text("utf-8") for path in (PROJECT / "web" / "templates").glob("*.html")
    )
    levels = {"emergency", "urgent", "crisis"}  # asked for by the name that an alert brings
    assert [name for name in strings["en"].keys() - levels if not re.search(rf"\b{name}\b", code)] == []


def test_module_is_served_to_any_origin_and_kept(server_url: str) -> None:
    module = joined()
    latest = httpx.get(f"{server_url}/widget.js")
    assert latest.content == module.content
    assert latest.headers["content-type"].startswith("text/javascript")
    assert latest.headers["content-encoding"] == "gzip"
    assert "must-revalidate" in latest.headers["cache-control"]
    again = httpx.get(f"{server_url}/widget.js", headers={"If-None-Match": latest.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    kept = httpx.get(server_url + module.path, headers={"Accept-Encoding": "identity"})
    assert kept.content == module.content
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    for reply in (latest, again, kept):
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "set-cookie" not in reply.headers
    assert httpx.get(f"{server_url}/widget/0.0.0-none/widget.js").status_code == 404


def test_record_says_how_to_embed_it(server_url: str) -> None:
    record = httpx.get(f"{server_url}/v1/widget").json()
    content = httpx.get(record["url"]).content
    assert record["url"] == server_url + record["path"]
    assert record["integrity"] == "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()
    assert (record["bytes"], record["gzip_bytes"]) == (len(content), len(joined().packed))
    assert record["feedback"] is False
    assert "\n" not in record["snippet"]
    for part in (record["url"], f'integrity="{record["integrity"]}"', 'crossorigin="anonymous"', f'api-base="{server_url}"'):
        assert part in record["snippet"]


def test_npm_package_is_written_and_packs(tmp_path: Path) -> None:
    done = run_command("-m", "web.widget", "--npm", str(tmp_path / "npm"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "npm" / "widget.js").read_bytes() == joined().content
    assert json.loads((tmp_path / "npm" / "package.json").read_text("utf-8"))["main"] == "widget.js"
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    packed = subprocess.run(
        [npm, "pack", "--dry-run", "--json"], cwd=tmp_path / "npm", check=True, capture_output=True, text=True
    )
    (told,) = json.loads(packed.stdout) if packed.stdout.startswith("[") else json.loads(packed.stdout).values()
    names = {file["path"] for file in told["files"]}
    assert names == {"LICENSE", "README.md", "package.json", "widget.d.ts", "widget.js"}


PALETTES = {
    "light": r":host, :root \{(.*?)\}",
    "chosen": r':host\(\[theme="dark"\]\) \{(.*?)\}',
    "dark": r':host\(:not\(\[theme="light"\]\)\), :root \{(.*?)\}',
}


def colours(theme: str) -> dict[str, str]:
    found = re.search(PALETTES[theme], STYLE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return dict(re.findall(r"--citewell-([a-z-]+): (?:var\(--own-\w+, )?(#[0-9a-f]{6}|#[0-9a-f]{3})\b", found[1]))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of an sRGB colour, 0 to 1."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    """WCAG 2.2 contrast ratio of two luminances, 1 to 21."""
    dark, light = sorted((one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_meet_wcag_aa(scheme: str) -> None:
    palette = {name: luminance(colour) for name, colour in (colours("light") | colours(scheme)).items()}
    pairs = [("ink", ground) for ground in ("paper", "card", "tint", "emergency-tint", "urgent-tint", "crisis-tint")]
    pairs += [("soft", ground) for ground in ("paper", "card", "emergency-tint", "urgent-tint", "crisis-tint")]
    assert min(contrast(palette[level], 1.0) for level in ("emergency", "urgent", "crisis")) >= 4.5  # white upon them
    pairs += [("link", "paper"), ("link", "card"), ("link", "tint"), ("on-primary", "primary"), ("on-mark", "mark")]
    low = {pair: round(contrast(palette[pair[0]], palette[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
    for ground in ("card", "paper"):
        assert contrast(palette["edge"], palette[ground]) >= 3
        assert contrast(palette["primary"], palette[ground]) >= 3


def test_dark_is_the_same_chosen_or_by_the_reader_s_system() -> None:
    assert colours("chosen") == colours("dark")


def test_limits_of_a_site_s_colour_follow_from_the_palette() -> None:
    source = (FOLDER / "theme.js").read_text("utf-8")
    light_up_to, dark_from, black_from = (
        float(number) for number in re.findall(r"^const \w+ = ([\d.]+);", source, re.MULTILINE)
    )
    for name in ("paper", "card", "tint"):
        assert contrast(light_up_to, luminance(colours("light")[name])) >= 4.5
        assert contrast(dark_from, luminance(colours("dark")[name])) >= 4.5
    assert contrast(black_from, 1.0) == pytest.approx(contrast(black_from, 0.0), rel=0.01)
    assert contrast(black_from, 1.0) >= 4.5


def test_command_line_asks_for_a_folder() -> None:
    done = subprocess.run([sys.executable, "-m", "web.widget"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--npm" in done.stderr
