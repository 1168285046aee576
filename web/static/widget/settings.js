// The attributes of a widget as values, and the properties that mirror them.

import { safeUrl } from "./elements.js";
import STRINGS from "./strings.json" with { type: "json" };

const TEXTS = ["api-base", "mode", "theme", "primary-color", "heading", "placeholder", "top-k", "filter", "suggestions", "history"];
const FLAG = "feedback";
export const ATTRIBUTES = [...TEXTS, FLAG, "open", "lang", "strings"];
export const PROPERTIES = [...[...TEXTS, FLAG].map(camel), "strings"];

function camel(name) {
  return name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
}

/** Everything an element's attributes say; `own` holds strings that replace those of the language. */
export function settingsOf(element, own) {
  const text = (name) => element.getAttribute(name) ?? "";
  const mode = /^(inline|page)$/.test(text("mode")) ? text("mode") : "launcher";
  const wanted = languageAround(element);
  const known = STRINGS[wanted.split(/[-_]/)[0]];
  const replaced = Object.entries(own).filter(([name, value]) => name in STRINGS.en && typeof value === "string");
  const language = known || replaced.length ? wanted : "en";
  const words = { ...STRINGS.en, ...known, ...Object.fromEntries(replaced) };
  return {
    mode,
    words,
    language,
    base: baseOf(text("api-base")),
    keeps: text("history") !== "off",
    feedback: element.hasAttribute("feedback"),
    heading: text("heading") || words.heading,
    placeholder: text("placeholder"),
    suggestions: listOf(text("suggestions")),
    topK: Number(text("top-k")),
    filters: filtersOf(text("filter")),
    level: mode === "page" ? 2 : 3,
    fixed: language.startsWith("en") ? {} : { lang: "en", dir: "ltr" },
    newTab: mode === "page" ? {} : { target: "_blank", rel: "noopener noreferrer" },
  };
}

function languageAround(element) {
  return (element.closest("[lang]")?.lang || document.documentElement.lang || "en").toLowerCase();
}

function baseOf(address) {
  const base = address.trim().replace(/\/+$/, "");
  return safeUrl(base) ? base : "";
}

/** The value of a JSON text, or null. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Filters from JSON or from "publisher=NHS;publisher=CDC;language=en": names and lists of values, or null for none. */
function filtersOf(text) {
  const pairs = /^\s*\{/.test(text) ? Object.entries(parsed(text) ?? {}) : text.split(";").map(pair);
  const filters = Object.create(null);
  for (const [name, values] of pairs) {
    for (const value of [values].flat()) if (name && value) (filters[name] ??= []).push(String(value));
  }
  return Object.keys(filters).length ? filters : null;
}

function pair(text) {
  const at = text.indexOf("=");
  return [text.slice(0, Math.max(at, 0)).trim(), text.slice(at + 1).trim()];
}

/** Questions from a JSON list or from a text parted by "|". */
function listOf(text) {
  const items = parsed(text) ?? text.split("|");
  return (Array.isArray(items) ? items : []).map((item) => String(item).trim()).filter(Boolean);
}

/** Give an element class a property for each attribute; an object that is set becomes JSON. */
export function mirror(prototype) {
  for (const name of [...TEXTS, FLAG]) {
    Object.defineProperty(prototype, camel(name), {
      get() {
        return name === FLAG ? this.hasAttribute(name) : (this.getAttribute(name) ?? "");
      },
      set(value) {
        if (value === null || value === undefined || value === false) this.removeAttribute(name);
        else this.setAttribute(name, typeof value === "object" ? JSON.stringify(value) : value);
      },
    });
  }
}
