"""The widget's source: a few readable ES modules, a style sheet and the interface words, joined into the one module served.

Joining is text work that cannot change what the code does: imports, the word ``export``, comment lines and white space that
parts nothing go, private members and functions get short names, style and words become constants. Texts, templates and
patterns stay as they are. It relies on two habits of the parts, which a test checks: no template runs over several lines, and
no comment stands behind code.
"""

import base64
import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "static" / "widget"
# In an order in which every name stands before the line that needs it as the module loads.
PARTS = ("elements.js", "client.js", "answer.js", "copy.js", "frame.js", "memory.js", "settings.js", "theme.js", "chat.js")
WORDS = FOLDER / "strings.json"
STYLE = FOLDER / "widget.css"
NAME = "widget.js"

_IMPORT = re.compile(r"import .*? from \"\./[\w.]+\"(?: with \{ type: \"\w+\" \})?;\n", re.DOTALL)
_BLOCK_COMMENT = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
_LINE_COMMENT = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)
# A text, template or pattern, kept as it is; or the code up to the next one. A pattern follows a bracket, comma, sign or space.
_TEXTS = re.compile(
    r"""("(?:[^"\\\n]|\\.)*"|`[^`]*`|(?<=[(,=:?&|! ])/(?![ /*])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*)"""
    r"""|((?:[^"`/]|/(?=[ /*])|(?<![(,=:?&|! ])/)+)"""
)
_SPACES = re.compile(r" *(!?[=(){}\[\],;:?&|<>+*]|(?<= )[-/](?= \w)) *")
# A line that ends like this goes on in the next one, or may as well.
_OPEN_ENDS = re.compile(r"(?<=[;{,(\[])\n")
_BLANKS = re.compile(r"^[ \t]+|^\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Module:
    """The joined module as it is served: its bytes, the same bytes packed, and the names made of their digests."""

    content: bytes
    packed: bytes
    version: str
    integrity: str

    @property
    def path(self) -> str:
        """The path of the address whose content never changes."""
        return f"/widget/{self.version}/{NAME}"


@cache
def joined() -> Module:
    """Return the module made of the parts, the same on every run."""
    style = _json(_bare_style(STYLE.read_text("utf-8")))
    head = [
        f"/* citewell {package()}, Apache-2.0 */",
        *_words_table(),
        # Where style sheets can't be made by script the element links to the style sheet instead.
        f"let STYLE;try{{STYLE=new CSSStyleSheet();STYLE.replaceSync({style})}}catch{{}}",
    ]
    code = _short_functions(_short_names("".join(_bare_code((FOLDER / part).read_text("utf-8")) for part in PARTS)))
    content = ("\n".join(head) + "\n" + code).encode()
    digest = hashlib.sha256(content).hexdigest()[:12]
    integrity = "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()
    return Module(content, gzip.compress(content, 9, mtime=0), f"{package()}-{digest}", integrity)


@cache
def words() -> dict[str, str]:
    """Return the English interface words by name, those of the templates too."""
    english: dict[str, str] = _strings()["en"]
    return english


def phones() -> tuple[str, ...]:
    """Return the telephone numbers that are made tappable on safety cards."""
    return tuple(_strings()["phones"])


@cache
def package() -> str:
    """Return the version of the installed package, or 0.0.0 where the project was not installed."""
    try:
        return package_version("citewell")
    except PackageNotFoundError:
        return "0.0.0"


@cache
def _strings() -> dict[str, Any]:
    strings: dict[str, Any] = json.loads(WORDS.read_text("utf-8"))
    return strings


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _words_table() -> list[str]:
    """Return the lines that make STRINGS: the names once, then each language's words in their order."""
    strings = _strings()
    names = list(strings["en"])
    languages = [f"{key}:named({_json([own[name] for name in names])})" for key, own in strings.items() if key != "phones"]
    return [
        f'const NAMES={_json(" ".join(names))}.split(" ");',
        "const named=(words)=>Object.fromEntries(NAMES.map((name,at)=>[name,words[at]]));",
        f"const STRINGS={{phones:{_json(strings['phones'])},{','.join(languages)}}};",
    ]


def _short_names(code: str) -> str:
    """Return the code with one- or two-letter names for the class's private members, which nothing outside can reach."""
    names = sorted(set(re.findall(r"this\.(#\w+)", code)))
    for number, name in enumerate(names):
        short = f"#{chr(97 + number % 26)}{number // 26 or ''}"
        code = re.sub(rf"(this\.|(?:^|[;{{}}])(?:get |async )?){name}\b", rf"\g<1>{short}", code, flags=re.MULTILINE)
    return code


def _short_functions(code: str) -> str:
    """Return the code with short names for those of the parts' functions that are only ever called, never within a template."""
    pieces = _TEXTS.findall(code)
    templates = "".join(text for text, _ in pieces if text.startswith("`"))
    bare = "".join(own for _, own in pieces)
    called = set(re.findall(r"^(?:async )?function (\w+)\(", code, re.MULTILINE))
    called -= (
        set(re.findall(r"(?<![\w$])(\w+)\b(?!\()", bare))
        | set(re.findall(r"[.#](\w+)", bare))
        | set(re.findall(r"\w+", templates))
    )
    short = {name: f"${chr(97 + at % 26)}{at // 26 or ''}" for at, name in enumerate(sorted(called))}
    names = re.compile(rf"(?<![\w$.#])(?:{'|'.join(short)})(?=\()")
    return "".join(text or names.sub(lambda found: short[found[0]], own) for text, own in pieces)


def _bare_code(source: str) -> str:
    """Return one part without imports, exports, comment lines, and white space that parts nothing."""
    bare = _LINE_COMMENT.sub("", _BLOCK_COMMENT.sub("", _IMPORT.sub("", source)))
    bare = re.sub(r"^export ", "", _BLANKS.sub("", bare), flags=re.MULTILINE)
    return "".join(text or _OPEN_ENDS.sub("", _SPACES.sub(r"\1", code)) for text, code in _TEXTS.findall(bare))


def _bare_style(source: str) -> str:
    """Return the style sheet without comments, and without white space, quotation marks and zeros that mean nothing."""
    bare = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    bare = re.sub(r"\s+", " ", bare)
    bare = re.sub(r" ?([{};]) ?|([:,]) ", r"\1\2", bare).replace(";}", "}").strip()
    return re.sub(r"(?<=[\s:(,-])0(?=\.\d)", "", re.sub(r'="([a-z-]+)"\]', r"=\1]", bare))
