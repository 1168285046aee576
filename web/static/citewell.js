/**
 * <citewell-chat>: asks the JSON interface without leaving the page.
 *
 * The server renders the form and works without this script; here the same form is sent with fetch, and the reply becomes
 * the same elements as in templates/answer.html. Every text is set as text, never as markup. Earlier questions are read
 * off the page itself, so nothing is stored and a reload forgets them.
 *
 * Attributes: endpoint (address of the JSON interface), top-k (quotes asked for), phones (numbers to link, by comma).
 * Events: "citewell-answer" with {question, answer}, "citewell-error" with {question, message}; both bubble.
 */

const WAIT_MS = 30_000;
const EARLIER_QUESTIONS = 5;
const LEVELS = { emergency: "Emergency", urgent: "Urgent", crisis: "Help is there for you" };

class CitewellChat extends HTMLElement {
  #request = null;

  connectedCallback() {
    this.addEventListener("submit", this.#onSubmit);
    this.#field.addEventListener("keydown", this.#onKey);
  }

  /** Ask a question as if it had been typed; resolves when it is answered, refused, or overtaken by a newer one. */
  async ask(question, { afterAlert = false } = {}) {
    if (!question.trim()) return this.#say("Write a question first.");
    const body = { question, top_k: Number(this.getAttribute("top-k") ?? 3), history: this.#earlier(question), after_alert: afterAlert };
    const request = this.#begin(question);
    try {
      const answer = await post(this.getAttribute("endpoint"), body, request);
      if (request === this.#request) this.#answered(question, answer);
    } catch (error) {
      if (request === this.#request) this.#failed(question, describe(error));
    }
  }

  #onSubmit = (event) => {
    event.preventDefault();
    const data = new FormData(event.target);
    if (event.submitter?.name) data.set(event.submitter.name, event.submitter.value);
    this.ask(data.get("question"), { afterAlert: data.has("after_alert") });
  };

  #onKey = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#field.form.requestSubmit();
  };

  get #field() {
    return this.querySelector(".composer textarea");
  }

  get #log() {
    return this.querySelector(".log");
  }

  get #pending() {
    return this.#log.querySelector(".turn[data-status=pending]");
  }

  /** The latest earlier questions that got a reply, oldest first, without the one being asked again. */
  #earlier(question) {
    const asked = [...this.#log.querySelectorAll(".turn:not([data-status=pending]) > .question")].map((node) => node.textContent);
    return asked.filter((text, at) => text !== asked[at + 1] && text !== question).slice(-EARLIER_QUESTIONS);
  }

  /** Open a turn for the question; a reply still under way to an older one is abandoned. */
  #begin(question) {
    this.#request?.abort();
    this.#pending?.remove();
    this.#request = new AbortController();
    this.#say("");
    this.#show(false);
    const waiting = make("p", { class: "pending" }, "Looking through the sources");
    const turn = make("article", { class: "turn", "data-status": "pending" }, make("h2", { class: "question" }, question), waiting);
    this.#log.append(turn);
    this.#field.value = "";
    if (matchMedia("(pointer: coarse)").matches) this.#field.blur();
    reveal(turn);
    return this.#request;
  }

  #answered(question, answer) {
    const phones = (this.getAttribute("phones") ?? "").split(",").filter(Boolean);
    const turn = turnOf(question, answer, phones);
    this.#pending.replaceWith(turn);
    this.querySelector(".starters").hidden = answer.status !== "abstained" || answer.suggestions.length > 0;
    reveal(turn);
    this.#tell("citewell-answer", { question, answer });
  }

  #failed(question, message) {
    this.#pending.remove();
    this.#show(this.#log.childElementCount === 0);
    this.#say(message);
    if (!this.#field.value) this.#field.value = question;
    this.#field.focus();
    this.#tell("citewell-error", { question, message });
  }

  /** Show or hide what stands on the page before the first answer. */
  #show(empty) {
    for (const part of this.querySelectorAll(":scope > .intro, :scope > .starters, :scope > .standing")) part.hidden = !empty;
  }

  #say(message) {
    this.querySelector(".composer .error").textContent = message;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }
}

/** Send the question and return the answer's record; a problem is thrown with the server's own words. */
async function post(endpoint, body, request) {
  const timer = setTimeout(() => request.abort(new DOMException("", "TimeoutError")), WAIT_MS);
  try {
    const headers = { "Content-Type": "application/json", Accept: "application/json" };
    const reply = await fetch(endpoint, { method: "POST", headers, body: JSON.stringify(body), signal: request.signal });
    if (reply.ok) return await reply.json();
    const problem = await reply.json().catch(() => ({}));
    throw new Refusal(problem.detail || `The server refused the question (status ${reply.status}). Try again in a moment.`);
  } finally {
    clearTimeout(timer);
  }
}

/** A reply that is not an answer; its message is for the reader. */
class Refusal extends Error {}

function describe(error) {
  if (error instanceof Refusal) return error.message;
  if (error.name === "TimeoutError") return "The server did not answer in 30 seconds. Try again.";
  return "The server could not be reached. Check your connection and try again.";
}

function reveal(turn) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  turn.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
}

/** Make an element; strings become text nodes, and attributes or children that are null are left out. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function turnOf(question, answer, phones) {
  const turn = make("article", { class: "turn", "data-status": answer.status }, make("h2", { class: "question" }, question));
  if (answer.alert) turn.append(alertCard(answer.alert, phones));
  if (answer.status === "alert" && !answer.quotes.length) turn.append(afterAlert(question));
  if (answer.searched_as) turn.append(make("p", { class: "searched" }, "Also searched for: ", make("q", {}, answer.searched_as)));
  if (answer.message) turn.append(...abstention(answer));
  if (answer.quotes.length) turn.append(...quotesOf(answer));
  if (answer.suggestions.length) turn.append(suggestions(answer.suggestions));
  turn.append(make("p", { class: "disclaimer" }, answer.disclaimer.text));
  return turn;
}

function abstention(answer) {
  const topics = answer.topics.map((topic) => make("li", {}, topic));
  return [
    make("p", { class: "abstention" }, answer.message),
    make("p", { class: "advice" }, answer.advice),
    ...(topics.length ? [make("p", { class: "lead" }, "Nearest topics covered here:"), make("ul", { class: "topics" }, ...topics)] : []),
  ];
}

function suggestions(headings) {
  return make(
    "form",
    { class: "suggestions", method: "post", action: "/#latest" },
    make("p", {}, "Answered here as well"),
    make("ul", {}, ...headings.map((heading) => make("li", {}, make("button", { name: "question", value: heading }, heading)))),
  );
}

function quotesOf(answer) {
  const chance = Math.floor(answer.confidence * 100 + 0.5);
  return [
    make("p", { class: "lead" }, "Quoted word for word:"),
    make("ol", { class: "quotes" }, ...answer.quotes.map(quote)),
    make("p", { class: "confidence" }, `Estimated chance that quote 1 answers the question: ${chance}%`),
  ];
}

function quote(quoted) {
  const { number, heading, title, source } = quoted.citation;
  const topic = make("h3", { class: "topic" }, make("span", { class: "number" }, String(number)), heading || title || source);
  const words = make("blockquote", { class: "text" }, ...blocks(quoted.text, quoted.highlights));
  return make("li", {}, make("figure", { class: "quote" }, topic, words, citation(quoted.citation)));
}

/** Read paragraphs and lists off a text's line breaks: nodes whose joined text equals the text, with spans marked. */
function blocks(text, spans) {
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
    cut.push(points.slice(cursor, start).join(""), make("mark", {}, points.slice(start, end).join("")));
    cursor = end;
  }
  return [...cut, points.slice(cursor).join("")].filter((piece) => piece !== "");
}

function citation(cited) {
  const publisher = cited.publisher ? `, ${cited.publisher}` : null;
  return make(
    "figcaption",
    { class: "citation" },
    make("p", { class: "source" }, make("cite", {}, cited.title || cited.source), publisher),
    cited.references.length ? make("p", { class: "based" }, "Based on") : null,
    cited.references.length ? make("ul", { class: "references" }, ...cited.references.map(reference)) : null,
    make("p", { class: "links" }, contextLink(cited), safeUrl(cited.url) ? link(cited.url, "Page of the source") : null),
    proof(cited),
  );
}

function reference(work) {
  const publisher = work.publisher ? `, ${work.publisher}` : "";
  return make("li", {}, link(work.url, work.title || work.url), publisher || null);
}

function contextLink(cited) {
  if (!cited.permalink.startsWith("/passages/")) return null;
  const href = `${cited.permalink.split(/[?#]/)[0]}?start=${cited.start}&end=${cited.end}#quote`;
  return make("a", { class: "context", href }, `Read quote ${cited.number} in its passage`);
}

function proof(cited) {
  const facts = [
    ["Written or reviewed", cited.reviewed],
    ["Licence", cited.license],
    ["Passage", cited.passage_id],
    ["Source file", cited.source],
    ["Characters of the passage", `${cited.start} to ${cited.end}`],
    ["SHA-256 of the quote", cited.sha256],
  ];
  const rows = facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  return make("details", { class: "proof" }, make("summary", {}, `Check quote ${cited.number}`), make("dl", {}, ...rows));
}

function alertCard(alert, phones) {
  const source = alert.source;
  const publisher = source.publisher ? `, ${source.publisher}` : null;
  return make(
    "section",
    { class: "alert", "data-level": alert.level, role: "alert" },
    make("p", { class: "level" }, LEVELS[alert.level]),
    make("h3", {}, alert.title),
    make("ul", { class: "actions" }, ...alert.actions.map((action) => make("li", {}, ...phonesLinked(action, phones)))),
    make("p", {}, ...phonesLinked(alert.message, phones)),
    make("p", { class: "origin" }, "Source: ", link(source.url, source.title || source.url), publisher),
  );
}

/** The text with the given telephone numbers made tappable. */
function phonesLinked(text, phones) {
  const number = new RegExp(`(?<![\\w.,])(${phones.join("|")})(?![\\w%]|[.,]\\d)`, "u");
  const parts = phones.length ? text.split(number) : [text];
  return parts.filter(Boolean).map((part) =>
    phones.includes(part) ? make("a", { class: "phone", href: `tel:${part.replaceAll(" ", "")}` }, part) : part,
  );
}

function afterAlert(question) {
  return make(
    "form",
    { class: "after-alert", method: "post", action: "/#latest" },
    make("input", { type: "hidden", name: "question", value: question }),
    make("button", { name: "after_alert", value: "true" }, "I have read this. Show what the sources say"),
  );
}

/** The text as a link if the address is an absolute http or https one, else the text: sources are not trusted to link. */
function link(url, text) {
  return safeUrl(url) ? make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text) : text;
}

function safeUrl(url) {
  return /^https?:\/\/[^/]/i.test(url);
}

customElements.define("citewell-chat", CitewellChat);
