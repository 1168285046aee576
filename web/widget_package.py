"""The widget as an npm package: a folder that ``npm pack`` packs, written anew from the source each time."""

import json
from pathlib import Path

from web.widget_source import NAME, Module, package

LICENSE = Path(__file__).resolve().parent.parent / "LICENSE"
ELEMENT = "citewell-chat"

README = f"""# {ELEMENT}

A chat element for a citewell server: health questions answered with passages quoted word for word, each with a citation.
One custom element, no dependency, no cookie.

    import "{ELEMENT}";

    <{ELEMENT} api-base="https://citewell.example"></{ELEMENT}>

The server must allow your site's origin.

- Attributes: `api-base`, `mode` (`launcher`, `inline`, `page`), `open`, `lang` (`en`, `es`), `theme` (`auto`, `light`, `dark`),
  `primary-color`, `heading`, `placeholder`, `top-k`, `filter`, `suggestions`, `feedback`, `history` (`off`), `strings`.
- Methods: `open()`, `close()`, `ask(text)`, `clear()`.
- Events: `ready`, `ask`, `answer`, `abstain`, `red-flag`, `feedback`, `error`.

Types are in `widget.d.ts`.
"""

TYPES = """/** The record of POST /v1/ask; the server's /openapi.json describes every field. */
export interface CitewellAnswer {
  id: string;
  status: "answered" | "abstained" | "alert";
  quotes: { rank: number; text: string; highlights: { start: number; end: number }[]; citation: Record<string, unknown> }[];
  disclaimer: { version: string; text: string };
  alert: null | { level: "emergency" | "urgent" | "crisis"; title: string; message: string; actions: string[] };
  [field: string]: unknown;
}

/** What the events tell in `detail`. */
export interface CitewellEventMap {
  ready: CustomEvent<Record<string, never>>;
  ask: CustomEvent<{ question: string; after_alert: boolean }>;
  answer: CustomEvent<{ question: string; answer: CitewellAnswer }>;
  abstain: CustomEvent<{ question: string; answer: CitewellAnswer }>;
  "red-flag": CustomEvent<{ question: string; answer: CitewellAnswer }>;
  feedback: CustomEvent<{ answer_id: string; passage_id?: string; thumbs: 0 | 1; tags: string[]; notes: string }>;
  error: CustomEvent<{ question: string; message: string; status: number }>;
}

export interface CitewellChat extends HTMLElement {
  apiBase: string;
  mode: string;
  theme: string;
  primaryColor: string;
  heading: string;
  placeholder: string;
  topK: string | number;
  filter: string | Record<string, string | string[]>;
  suggestions: string | string[];
  history: string;
  feedback: boolean;
  strings: Record<string, string>;
  open(): void;
  close(): void;
  ask(text: string): Promise<void>;
  clear(): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "citewell-chat": CitewellChat;
  }
}
"""


def write_package(folder: Path, module: Module) -> tuple[str, ...]:
    """Write the package's files into a folder, made where there is none, and return their names."""
    manifest = {
        "name": ELEMENT,
        "version": package(),
        "description": "Health questions answered with verbatim, cited quotes: a chat element for a citewell server.",
        "license": "Apache-2.0",
        "type": "module",
        "main": NAME,
        "types": "widget.d.ts",
        "exports": {".": {"types": "./widget.d.ts", "default": f"./{NAME}"}},
        "sideEffects": True,
        "files": [NAME, "widget.d.ts"],
    }
    files = {
        "package.json": (json.dumps(manifest, indent=2) + "\n").encode(),
        "README.md": README.encode(),
        NAME: module.content,
        "widget.d.ts": TYPES.encode(),
        **({"LICENSE": LICENSE.read_bytes()} if LICENSE.is_file() else {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return tuple(files)
