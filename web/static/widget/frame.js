// What stands around the conversation: launcher, panel, log, the form, and the two regions that screen readers listen to.

import { MAX_QUESTION } from "./client.js";
import { choices } from "./answer.js";
import { icon, make } from "./elements.js";

const BUBBLE = "M4 5h16v11H10l-5 4v-4H4zM8 9h8M8 12h5";
const CROSS = "M6 6l12 12M18 6L6 18";
const ANEW = "M5 9a7.5 7.5 0 1 1-.5 5M5 4v5h5";

/** Make the frame of one widget and return its named elements. */
export function frameOf(settings) {
  const { mode, words, language, heading, suggestions, standing } = settings;
  const dialog = { role: "dialog", tabindex: "-1", hidden: "" };
  const own = { "aria-label": heading };
  const parts = {
    launch: launcher(heading, mode),
    log: make("div.log", { role: "log", "aria-live": "off", "aria-label": words.log, tabindex: "0" }),
    starters: suggestions.length ? choices("starters", words.starters, suggestions) : make("div.starters", {}),
    intro: make("section.intro", {}, mode === "page" ? make("h1", {}, heading) : null, make("p", {}, words.intro)),
    standing: make("p.standing.disclaimer", { lang: "en" }, standing),
    said: make("p.heard", { role: "status" }),
    alarm: make("p.heard", { role: "alert" }),
    tools: make("p.tools", {}, tool("clear", ANEW, words.clear), mode === "page" ? tool("print", null, words.print) : null),
    ...composer(settings),
  };
  const { launch, log, starters, intro, standing: notice, said, alarm, tools, form } = parts;
  if (mode === "page") log.removeAttribute("tabindex");
  else log.append(intro, starters, notice);
  const inside = mode === "page" ? [intro, log, tools, form, starters, notice] : [bar(heading, mode, words, tools), log, form];
  parts.panel = make("section.panel", mode === "launcher" ? { ...own, ...dialog } : own, ...inside, said, alarm);
  const dir = /^(ar|fa|he|ur)\b/.test(language) ? "rtl" : "ltr";
  parts.root = make(`div.root.${mode === "page" ? "" : "boxed."}${mode}`, { lang: language, dir }, launch, parts.panel);
  return parts;
}

function launcher(heading, mode) {
  if (mode !== "launcher") return null;
  const attributes = { type: "button", "aria-haspopup": "dialog" };
  return make("button.launch", attributes, icon(BUBBLE), make("span", {}, heading));
}

function bar(heading, mode, words, tools) {
  const close = mode === "launcher" ? tool("close", CROSS, words.close) : null;
  tools.append(close ?? "");
  return make("div.bar", {}, make("h2", {}, heading), tools);
}

function tool(name, path, text) {
  const label = make("span", {}, text);
  return make("button.tool", { type: "button", name, title: path && text }, path && icon(path), label);
}

function composer({ words, placeholder, mode }) {
  const field = make("textarea.field", {
    id: "question",
    name: "question",
    rows: mode === "page" ? 2 : 1,
    maxlength: MAX_QUESTION,
    enterkeyhint: "send",
    autocomplete: "off",
    placeholder: placeholder || (mode === "page" ? null : words.label),
    "aria-describedby": "error",
  });
  const error = make("p.error", { id: "error", role: "alert" });
  const label = make("label", { for: "question" }, words.label);
  const send = make("button.send", { type: "button", name: "send" }, words.ask);
  const form = make("form.composer", {}, label, make("div.entry", {}, field, send), error);
  return { form, field, error };
}
