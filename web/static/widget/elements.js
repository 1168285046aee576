// Elements and texts: everything the widget shows is made here, and every string becomes a text node, never markup.

import STRINGS from "./strings.json" with { type: "json" };

const VECTOR = "http://www.w3.org/2000/svg";
const MAX_FRAGMENT = 300;
const EDGE_WORDS = 5;

/** Make an element: "p.lead" has the class, and the ::part, lead. Strings become text; attributes or children of null are left out. */
export function make(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const named = classes.length ? { class: classes.join(" "), part: classes.join(" ") } : {};
  return filled(document.createElement(tag), { ...named, ...attributes }, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Make a line drawing in the colour of the text around it, hidden from screen readers. */
export function icon(d) {
  const drawn = (name, attributes, ...children) => filled(document.createElementNS(VECTOR, name), attributes, children);
  return drawn("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, drawn("path", { d }));
}

/** Put values in the places of a sentence: fill("Quote {n}", { n: 1 }). */
export function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** Read paragraphs and lists off a text's line breaks: nodes whose joined text equals the text, with spans marked. */
export function blocks(text, spans) {
  const nodes = [];
  let offset = 0;
  for (const part of partsOf(text)) {
    const words = part.replace(/\n+$/, "");
    const [kind, tail] = [kindOf(part), part.slice(words.length)];
    const inner = pieces(words, spans, offset);
    offset += Array.from(part).length;
    if (kind === "p") nodes.push(...(words ? [make("p", {}, ...inner)] : []), tail);
    else {
      if (nodes.at(-1)?.localName !== kind) nodes.push(make(kind));
      nodes.at(-1).append(make("li", {}, ...inner), tail);
    }
  }
  return nodes;
}

/** Cut a text into list lines and runs of prose up to a blank line, each with the line breaks after it. */
function partsOf(text) {
  const parts = [];
  for (const line of text.match(/[^\n]+\n*|\n+/g) ?? []) {
    const joins = parts.length && kindOf(parts.at(-1)) === "p" && kindOf(line) === "p" && !parts.at(-1).endsWith("\n\n");
    if (joins) parts.push(parts.pop() + line);
    else parts.push(line);
  }
  return parts;
}

function kindOf(line) {
  if (line.startsWith("- ")) return "ul";
  return /^[0-9]{1,3}\. /.test(line) ? "ol" : "p";
}

/** Cut a text at spans counted in code points from `offset` before it; what overlaps or lies outside is clipped. */
function pieces(text, spans, offset) {
  const points = Array.from(text);
  const cut = [];
  let cursor = 0;
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const [start, end] = [Math.max(span.start - offset, cursor), Math.min(span.end - offset, points.length)];
    if (start >= end) continue;
    cut.push(points.slice(cursor, start).join(""), make("mark.mark", {}, points.slice(start, end).join("")));
    cursor = end;
  }
  return [...cut, points.slice(cursor).join("")].filter((piece) => piece !== "");
}

/** The text with the telephone numbers of emergency services and crisis lines made tappable. */
export function phonesLinked(text) {
  // What stands before a number is caught, not looked behind at: older phones can't, and would lose the whole card.
  const number = new RegExp(`(^|[^\\w.,])(${STRINGS.phones.join("|")})(?![\\w%]|[.,]\\d)`, "u");
  return text.split(number).filter(Boolean).map((part) =>
    STRINGS.phones.includes(part) ? make("a.phone", { href: `tel:${part.replaceAll(" ", "")}` }, part) : part,
  );
}

/** The text as a link if the address is an absolute http or https one, else the text: sources are not trusted to link. */
export function link(url, text) {
  return safeUrl(url) ? make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text) : text;
}

export function safeUrl(url) {
  return /^https?:\/\/[^ "#%/<>?@\\^`{|}]*[^ "#%/<>?@[\\^`{|}](?![^/?#])/i.test(url);
}

/** The address of a page with a text fragment that has browsers scroll to the words of the first span and mark them. */
export function fragmentUrl(url, text, spans) {
  const said = spans.length ? Array.from(text).slice(spans[0].start, spans[0].end).join("") : "";
  const lines = said.split("\n").map((line) => line.replace(/^(- |[0-9]{1,3}\. )/, "").trim()).filter(Boolean);
  if (!lines.length || url.includes(":~:")) return url;
  const [first, last] = [lines[0].split(/\s+/), lines.at(-1).split(/\s+/)];
  const whole = lines.length === 1 && first.length <= 2 * EDGE_WORDS;
  const ends = whole ? [first] : [first.slice(0, EDGE_WORDS), last.slice(-EDGE_WORDS)];
  const words = ends.map((end) => end.join(" "));
  if (words.join("").length > MAX_FRAGMENT) return url;
  return `${url}${url.includes("#") ? "" : "#"}:~:text=${words.map(encoded).join(",")}`;
}

function encoded(words) {
  return encodeURIComponent(words.toWellFormed?.() ?? words).replaceAll("-", "%2D");
}

/** How long ago a date like 2019, 2019-03 or 2019-03-01 was, as " (7 years ago)"; empty for this month, the future, and no date. */
export function age(date, language) {
  const found = /^(\d{4})(?:-(\d\d))?(?:-(\d\d))?$/.exec(date);
  if (!found) return "";
  const now = new Date();
  const [year, month, day] = [1, 2, 3].map((at) => Number(found[at] ?? 1));
  const months = (now.getFullYear() - year) * 12 + now.getMonth() + 1 - month - (now.getDate() < day ? 1 : 0);
  if (months < 1) return "";
  const [count, unit] = months < 12 ? [months, "month"] : [Math.floor(months / 12), "year"];
  return ` (${new Intl.RelativeTimeFormat(/^[a-z]{2,3}\b/.exec(language) ?? "en").format(-count, unit)})`;
}
