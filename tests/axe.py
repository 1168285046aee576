"""axe-core on a tab: every rule but those of level AAA, over the whole document and into open shadow roots.

The script is evaluated through the browser's own protocol. So the page keeps its security policy, and what is looked at is what
readers get; a script element would be refused by the policy, and switching the policy off would change the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

# All rules, also those axe leaves off unless asked (target-size, experimental ones). Contrast of 7:1 and the like is AAA.
RUN = """async only => {
  const runs = tags => !tags.includes("wcag2aaa") && (!only || tags.includes(only));
  const rules = Object.fromEntries(axe.getRules().map(({ ruleId, tags }) => [ruleId, { enabled: runs(tags) }]));
  const found = await axe.run(document, { rules, resultTypes: ["violations", "incomplete"], elementRef: false });
  const told = list => list.flatMap(({ id, nodes }) => nodes.map(({ target, html, any, all, none }) => ({
    rule: id, target: target.flat().join(" "), html: html.slice(0, 200),
    why: [...any, ...all, ...none].map(check => check.message).join("; "),
    keys: [...any, ...all, ...none].map(check => check.data?.messageKey ?? ""),
  })));
  const count = Object.values(rules).filter(rule => rule.enabled).length;
  return { violations: told(found.violations), incomplete: told(found.incomplete), rules: count };
}"""


@dataclass(frozen=True, slots=True)
class Report:
    """What axe found on one tab: each finding with its rule, element and reason."""

    violations: tuple[dict[str, Any], ...]
    incomplete: tuple[dict[str, Any], ...]
    rules: int


@cache
def script() -> str:
    """Return axe-core as the package axe-playwright-python bundles it."""
    import axe_playwright_python  # type: ignore[import-untyped]  # the suite runs without it where there is no browser

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def audit(tab: Tab, only: str | None = None) -> Report:
    """Run axe on a tab as it stands: every rule, or those of one tag."""
    tab.wait_for_load_state("load")  # until a style sheet is there, axe leaves what it says open
    if not tab.evaluate("() => !!globalThis.axe?.run"):
        tab.evaluate(script())
    found = tab.evaluate(RUN, only)
    return Report(tuple(found["violations"]), tuple(found["incomplete"]), found["rules"])


def version(tab: Tab) -> str:
    """Return the version of axe that ran on the tab."""
    return str(tab.evaluate("axe.version"))
