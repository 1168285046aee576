"""What a reader meets on a tab, measured in the browser itself: contrasts, targets, texts that are cut off, what has the focus.

Each script walks the document and every open shadow root. Contrasts are those of WCAG 2.2, with see-through grounds mixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

_WALK = """
const all = (root = document) => [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
const above = e => e.parentElement ?? e.getRootNode().host ?? null;
const seen = e => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0 && !aside(e);
const aside = e => { for (let a = e; a; a = above(a)) if (getComputedStyle(a).clipPath !== "none") return true; return false };
const named = e => `${e.localName}.${e.getAttribute("class") ?? ""}[${e.getAttribute("name") ?? ""}]`;
const own = e => [...e.childNodes].filter(n => n.nodeType === 3 && n.data.trim()).map(n => n.data.trim()).join(" ");
"""
_COLOURS = """
const rgba = text => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a] };
const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
const ground = e => {
  const layers = [];
  for (let a = e; a; a = above(a)) {
    const layer = rgba(getComputedStyle(a).backgroundColor);
    layers.push(layer);
    if (layer[3] === 1) break;
  }
  return layers.reduceRight((under, layer) => over(layer, under), [255, 255, 255, 1]);
};
const bright = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const ratio = (a, b) => { const [x, y] = [bright(a), bright(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) };
"""
_TEXTS = f"""() => {{ {_WALK} {_COLOURS}
  return all().filter(e => own(e) && seen(e)).map(e => {{
    const style = getComputedStyle(e), size = parseFloat(style.fontSize), back = ground(e);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = ratio(over(rgba(style.color), back), back);
    return {{ what: named(e), text: own(e).slice(0, 40), ratio: found, needed: large ? 3 : 4.5 }};
  }});
}}"""
_TARGETS = f"""() => {{ {_WALK}
  return all().filter(e => e.matches("a[href], button, summary, textarea, input, [tabindex='0']") && seen(e)).map(e => {{
    const {{ width, height }} = e.getBoundingClientRect();
    const sentence = e.closest("p, li, h1, h2, h3, h4, td, dd")?.textContent.trim() ?? "";
    const inline = e.matches("a") && getComputedStyle(e).display === "inline" && sentence !== e.textContent.trim();
    return {{ what: named(e), width, height, inline }};
  }});
}}"""
_CUT = f"""() => {{ {_WALK}
  const lost = [];
  // The skip link waits outside the window until it has the focus.
  for (const e of all().filter(e => own(e) && seen(e) && !e.matches(".skip"))) {{
    const range = document.createRange();
    range.selectNodeContents(e);
    const text = range.getBoundingClientRect();
    if (text.left < -1 || text.right > innerWidth + 1) lost.push([named(e), "off the window"]);
    for (let a = e; a; a = above(a)) {{
      const {{ overflowX, overflowY }} = getComputedStyle(a), box = a.getBoundingClientRect();
      if (overflowX !== "visible" && (text.left < box.left - 1 || text.right > box.right + 1)) lost.push([named(e), named(a)]);
      if (/hidden|clip/.test(overflowY) && !a.matches(".panel") && (text.top < box.top - 1 || text.bottom > box.bottom + 1))
        lost.push([named(e), named(a)]);
      if (overflowY === "auto") break;
    }}
  }}
  return lost;
}}"""
_FOCUS = f"""() => {{ {_WALK} {_COLOURS}
  let e = document.activeElement;
  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
  if (!e || e === document.body) return {{ what: "", inside: false }};
  const style = getComputedStyle(e), box = e.getBoundingClientRect(), root = e.getRootNode();
  const inset = parseFloat(style.outlineOffset) < 0;
  const [x, y] = [box.left + Math.min(box.width / 2, 8), box.top + Math.min(box.height / 2, 8)];
  const top = root.elementFromPoint(x, y);
  return {{
    what: e.matches("textarea") ? "field" : e.name || e.className || e.localName, inside: root !== document,
    outline: style.outlineStyle, width: parseFloat(style.outlineWidth),
    ratio: ratio(rgba(style.outlineColor), ground(inset ? e : above(e) ?? e)),
    shown: !!top && (e.contains(top) || top.contains(e)),
  }};
}}"""


def text_contrasts(tab: Tab) -> list[dict[str, Any]]:
    """Return each visible text's element, its contrast to the ground below it, and the contrast it needs at level AA."""
    found: list[dict[str, Any]] = tab.evaluate(_TEXTS)
    return found


def faint(tab: Tab) -> list[dict[str, Any]]:
    """Return the texts whose contrast is below level AA."""
    return [text for text in text_contrasts(tab) if text["ratio"] < text["needed"]]


def targets(tab: Tab) -> list[dict[str, Any]]:
    """Return what can be pressed or typed into, with its size in CSS pixels and whether it stands in a line of text."""
    found: list[dict[str, Any]] = tab.evaluate(_TARGETS)
    return found


def cut_texts(tab: Tab) -> list[list[str]]:
    """Return the texts that reach past the window or past a box that does not let them be scrolled to."""
    found: list[list[str]] = tab.evaluate(_CUT)
    return found


def focus(tab: Tab) -> dict[str, Any]:
    """Return what has the focus, its outline with its contrast to the ground around, and whether nothing covers it."""
    found: dict[str, Any] = tab.evaluate(_FOCUS)
    return found
