/**
 * <citewell-chat api-base="https://..."> asks a citewell server and shows its quotes: one element, no dependency, no cookie.
 *
 * Attributes (each also a property in camel case)
 *   api-base       address of the server; empty: the page's own
 *   mode           launcher (default: a button that opens a panel), inline, page
 *   open           whether the launcher's panel is open
 *   lang           en or es; default: the nearest lang around the element, else English
 *   theme          auto (default), light, dark
 *   primary-color  any CSS colour; text upon it is black or white, whichever is easier to read
 *   heading, placeholder   words above the conversation and in the empty field
 *   top-k          quotes asked for, 1 to 20
 *   filter         publisher=NHS;language=en, or JSON: {"publisher": ["NHS", "CDC"]}
 *   suggestions    questions to start with, parted by | or as a JSON list
 *   feedback       present: readers can say whether an answer helped
 *   history        off: nothing is kept in sessionStorage
 *   strings        JSON of interface strings to replace (strings.json names them); the property takes an object
 * Methods: open(), close(), ask(text), clear().
 * Events, all bubbling and composed: ready; ask {question}; answer, abstain and red-flag {question, answer};
 *   feedback {what was sent}; error {question, message, status}.
 * Custom properties: --citewell-primary, -on-primary, -link, -paper, -card, -ink, -soft, -line, -edge, -tint, -mark, -on-mark, -radius,
 *   -font, -quote-font, -font-size, -width, -height, -offset, -z-index.
 * Parts: root, launch, panel, bar, tool, log, intro, starters, turn, question, alert, quote, text, mark, citation,
 *   abstention, suggestions, choice, feedback, disclaimer, failure, composer, field, send.
 */

import STYLE from "./widget.css" with { type: "css" };
import { button, turnFrame, turnOf } from "./answer.js";
import { askBody, inWords, MAX_QUESTION, post, Refusal } from "./client.js";
import { copied, copyText } from "./copy.js";
import { fill, make } from "./elements.js";
import { frameOf } from "./frame.js";
import { Memory } from "./memory.js";
import { ATTRIBUTES, mirror, parsed, PROPERTIES, settingsOf } from "./settings.js";
import { colourRule } from "./theme.js";

const NAME = "citewell-chat";
const SLOW_MS = 5000;

class CitewellChat extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ATTRIBUTES;
  #shadow = this.attachShadow({ mode: "open" });
  #colours = STYLE && new CSSStyleSheet();
  #strings = {};
  #turns = [];
  #records = new WeakMap();
  #failure = null;
  #request = null;
  #frame = null;
  #memory = null;
  #standing = "";
  #returnTo = null;
  #drawing = false;

  connectedCallback() {
    for (const name of PROPERTIES) this.#upgrade(name);
    this.#memory = new Memory(`${this.#settings.base} ${this.#settings.mode} ${this.id}`);
    if (!this.#turns.length && this.#settings.keeps) this.#turns = this.#memory.read();
    const [draft, error, adopted] = this.#settings.mode === "page" ? this.#takeOver() : [];
    this.#draw();
    if (draft) this.#frame.field.value = draft;
    if (error) this.#frame.error.textContent = error;
    if (adopted) this.#reveal(this.#frame.log.lastChild);
    queueMicrotask(() => this.isConnected && this.#tell("ready", {}));
  }

  disconnectedCallback() {
    this.#request?.abort();
    this.#request = null;
    this.#memory.leave();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.#frame || before === now) return;
    if (name === "open") return this.#showPanel();
    if (name === "history" && !this.#settings.keeps) this.#memory.write([]);
    if (this.#drawing) return;
    // Several changes at once are drawn once.
    this.#drawing = true;
    queueMicrotask(() => this.#draw());
  }

  /** Open the launcher's panel and move the focus into it; closing gives the focus back. */
  open() {
    if (this.#settings.mode !== "launcher") return this.#frame?.field.focus({ preventScroll: true });
    this.#returnTo = this.#shadow.activeElement ?? document.activeElement;
    this.setAttribute("open", "");
    // With a finger, a field in focus brings up a keyboard over what there is to read.
    const touch = matchMedia("(pointer: coarse)").matches;
    this.#frame?.[touch ? "panel" : "field"].focus({ preventScroll: true });
  }

  /** Close the launcher's panel; where the focus was inside, it goes back to what had it before. */
  close() {
    const inside = this.#shadow.activeElement;
    this.removeAttribute("open");
    if (!inside || this.#settings.mode !== "launcher") return;
    const back = this.#returnTo;
    const outside = back?.isConnected && back !== document.body && !this.#shadow.contains(back) && back !== this;
    (outside ? back : this.#frame.launch).focus({ preventScroll: true });
  }

  /** Ask a question as if it had been typed; resolves when it is answered, refused, or overtaken by a newer one. */
  async ask(text, { afterAlert = false } = {}) {
    const question = String(text ?? "").trim();
    if (!this.#frame) return;
    if (!question) return this.#refuse(this.#settings.words.empty);
    if (Array.from(question).length > MAX_QUESTION) return this.#refuse(fill(this.#settings.words.long, { n: MAX_QUESTION }));
    const request = this.#begin(question, afterAlert);
    const timer = setTimeout(() => request === this.#request && this.#slow(), SLOW_MS);
    try {
      const body = askBody(question, this.#earlier(question), { ...this.#settings, afterAlert });
      const answer = await post(`${this.#settings.base}/v1/ask`, body, request);
      if (request === this.#request) this.#answered(question, answer);
    } catch (error) {
      if (request === this.#request) this.#failed(question, afterAlert, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Forget the conversation, also what the tab remembers of it. */
  clear() {
    this.#request?.abort();
    this.#request = this.#failure = null;
    this.#turns = [];
    this.#memory?.write([]);
    if (this.#frame) this.#draw();
  }

  /** Interface strings that replace those of the language, by the names in strings.json; unknown names are ignored. */
  get strings() {
    return { ...parsed(this.getAttribute("strings")), ...this.#strings };
  }

  set strings(strings) {
    this.#strings = { ...strings };
    if (this.#frame) this.#draw();
  }

  get #settings() {
    return settingsOf(this, this.strings);
  }

  /** A property set before the element was defined hides the element's own: set it anew. */
  #upgrade(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  /** Take over what the server rendered for readers without script, and return the question and error in its form, and its turn. */
  #takeOver() {
    const turn = parsed(this.querySelector("[data-record]")?.dataset.record);
    if (turn && this.#turns.at(-1)?.answer.id !== turn.answer.id) this.#remember(turn);
    this.#standing = this.querySelector(".standing")?.textContent ?? "";
    const found = [this.querySelector("textarea")?.value, this.querySelector(".error")?.textContent, turn];
    this.replaceChildren();
    return found;
  }

  /** Draw everything anew from what is known; the field keeps its text and focus. */
  #draw() {
    this.#drawing = false;
    const old = this.#frame;
    const focused = old && this.#shadow.activeElement === old.field;
    const settings = this.#settings;
    const frame = frameOf({ ...settings, standing: this.#standing });
    this.#colours?.replaceSync(colourRule(this.getAttribute("primary-color")));
    if (STYLE) this.#shadow.adoptedStyleSheets = [STYLE, this.#colours];
    else frame.root.prepend(make("link", { rel: "stylesheet", href: `${settings.base}/widget/widget.css` }));
    this.#frame = frame;
    frame.field.value = old?.field.value ?? "";
    this.#turns = this.#turns.filter((turn) => this.#restore(turn));
    const pending = old?.log.querySelector("[data-status=pending], [data-status=failed]");
    if (pending && (this.#request || this.#failure)) frame.log.append(pending);
    this.#shadow.replaceChildren(frame.root);
    frame.root.addEventListener("click", this.#onClick);
    frame.root.addEventListener("keydown", this.#onKey);
    this.#showPanel();
    this.#showEmpty();
    if (focused) frame.field.focus({ preventScroll: true });
  }

  #turnOf(turn) {
    const element = turnOf(turn.question, turn.answer, this.#settings);
    this.#records.set(element, turn);
    return element;
  }

  /** Show a turn again; say whether that worked: what the tab kept may be of another version. */
  #restore(turn) {
    try {
      this.#frame.log.append(this.#turnOf(turn));
      return true;
    } catch {
      return false;
    }
  }

  #showPanel() {
    const { launch, panel } = this.#frame;
    if (!launch) return;
    launch.hidden = this.hasAttribute("open");
    panel.hidden = !launch.hidden;
  }

  /** Show what stands there before the first question, or hide it. */
  #showEmpty() {
    const { root, intro, starters, standing, tools, log } = this.#frame;
    const empty = !log.querySelector(".turn");
    const last = this.#turns.at(-1)?.answer;
    const stuck = last?.status === "abstained" && !last.suggestions.length;
    root.classList.toggle("empty", empty);
    intro.classList.toggle("heard", !empty);
    starters.hidden = !(empty || (stuck && this.#settings.mode === "page")) || !starters.childElementCount;
    standing.hidden = !empty || !standing.textContent;
    for (const name of ["clear", "print"]) {
      const tool = tools.querySelector(`[name=${name}]`);
      if (tool) tool.hidden = empty;
    }
  }

  /** The earlier questions that got a reply, oldest first, without the one being asked again. */
  #earlier(question) {
    const asked = this.#turns.map((turn) => turn.question);
    return asked.filter((text, at) => text !== asked[at + 1] && text !== question);
  }

  /** Open a turn for the question; a reply still under way to an older one is abandoned. */
  #begin(question, afterAlert) {
    this.#request?.abort();
    this.#failure = null;
    const { log, field, error, said, alarm, launch } = this.#frame;
    if (launch) this.setAttribute("open", "");
    for (const old of log.querySelectorAll("[data-status=pending], [data-status=failed]")) old.remove();
    for (const node of [error, said, alarm]) node.textContent = "";
    const turn = turnFrame(question, "pending", this.#settings);
    turn.append(make("p.pending", {}, this.#settings.words.pending));
    log.append(turn);
    if (field.value.trim() === question) field.value = "";
    if (matchMedia("(pointer: coarse)").matches) field.blur();
    this.#showEmpty();
    this.#reveal(turn);
    this.#request = new AbortController();
    this.#tell("ask", { question, after_alert: afterAlert });
    return this.#request;
  }

  #slow() {
    const line = this.#frame.log.querySelector(".pending");
    if (line) line.textContent = this.#frame.said.textContent = this.#settings.words.slow;
  }

  #answered(question, answer) {
    const turn = { question, answer };
    const element = this.#turnOf(turn);
    this.#request = null;
    this.#frame.log.querySelector("[data-status=pending]").replaceWith(element);
    this.#remember(turn);
    this.#showEmpty();
    // The card of an emergency stands at the top, its actions in view even above the disclaimer of a phone.
    this.#reveal(element.querySelector(".alert") ?? element);
    this.#announce(answer);
    if (answer.status === "answered") this.#tell("answer", turn);
    if (answer.status === "abstained") this.#tell("abstain", turn);
    if (answer.alert) this.#tell("red-flag", turn);
  }

  #remember(turn) {
    this.#turns = [...this.#turns, turn];
    if (this.#settings.keeps) this.#memory.write(this.#turns);
  }

  /** Have screen readers say once what came: the card of an emergency at once, anything else when they are ready. */
  #announce({ alert, quotes }) {
    const [words, n] = [this.#settings.words, quotes.length];
    const summary = n ? fill(n === 1 ? words.one : words.many, { n }) : words.none;
    if (alert) this.#frame.alarm.textContent = [words[alert.level], alert.title, ...alert.actions].join(". ");
    else this.#frame.said.textContent = summary;
  }

  #failed(question, afterAlert, error) {
    const refusal = error instanceof Refusal ? error : new Refusal("refused");
    const message = inWords(refusal, this.#settings.words);
    const turn = this.#frame.log.querySelector("[data-status=pending]");
    this.#request = null;
    if (["invalid", "long"].includes(refusal.kind)) {
      turn.remove();
      this.#frame.field.value ||= question;
      this.#showEmpty();
      this.#refuse(message);
    } else {
      this.#failure = { question, afterAlert };
      turn.dataset.status = "failed";
      const note = make("p.failure", {}, message);
      turn.querySelector(".pending").replaceWith(note, button("again", question, this.#settings.words.again));
      this.#frame.alarm.textContent = message;
    }
    this.#tell("error", { question, message, status: refusal.status });
  }

  /** Say beside the field why a question is not sent. */
  #refuse(message) {
    this.#frame.error.textContent = message;
    this.#frame.field.focus({ preventScroll: this.#settings.mode !== "page" });
  }

  /** Scroll to a turn's beginning: the page where it is the page's, else only what scrolls inside the widget. */
  #reveal(turn) {
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    if (this.#settings.mode === "page") return turn.scrollIntoView({ block: "start", behavior });
    const { log, panel } = this.#frame;
    const scroller = getComputedStyle(log).overflowY === "visible" ? panel : log;
    const above = turn.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
    scroller.scrollTo({ top: scroller.scrollTop + above - 8, behavior });
  }

  #onClick = (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    if (pressed === this.#frame.launch) return this.open();
    const does = {
      // Not by submitting: sandboxed frames may forbid forms.
      send: () => this.ask(this.#frame.field.value),
      question: () => this.ask(pressed.value),
      // The button goes as the question is sent again; the focus must not go with it.
      again: () => (this.#frame.field.focus({ preventScroll: true }), this.ask(pressed.value, this.#failure ?? {})),
      after: () => this.ask(pressed.value, { afterAlert: true }),
      clear: () => (this.clear(), this.#frame.field.focus({ preventScroll: true })),
      close: () => this.close(),
      print: () => print(),
      copy: () => this.#copy(pressed),
      up: () => this.#rate(pressed, 1),
      down: () => this.#rate(pressed, 0),
      tag: () => this.#rate(pressed, 0, [pressed.value]),
    };
    does[pressed.name]?.();
  };

  #onKey = (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    if (event.key === "Escape" && this.#settings.mode === "launcher" && this.hasAttribute("open")) {
      event.stopPropagation();
      this.close();
    }
    if (event.key === "Enter" && !event.shiftKey && event.target === this.#frame.field) {
      event.preventDefault();
      this.ask(event.target.value);
    }
  };

  #say(text) {
    this.#frame.said.textContent = "";
    requestAnimationFrame(() => (this.#frame.said.textContent = text));
  }

  async #copy(pressed) {
    const { answer } = this.#records.get(pressed.closest(".turn"));
    const quoted = answer.quotes.find((quote) => String(quote.citation.number) === pressed.value);
    const done = await copied(copyText(quoted, answer, this.#settings), this.#shadow);
    const said = done ? this.#settings.words.copied : this.#settings.words.uncopied;
    this.#say(said);
    pressed.textContent = said;
    setTimeout(() => (pressed.textContent = fill(this.#settings.words.copy, { n: pressed.value })), 4000);
  }

  /** Send what a reader thinks; after a bare no ask what was wrong, for a second vote on an answer replaces the first. */
  async #rate(pressed, thumbs, tags = []) {
    const form = pressed.closest(".feedback");
    const { answer } = this.#records.get(form.closest(".turn"));
    const body = { answer_id: answer.id, thumbs, tags, notes: "" };
    const sent = await post(`${this.#settings.base}/v1/feedback`, body).then(() => true, () => false);
    if (sent) this.#tell("feedback", body);
    if (sent && !thumbs && !tags.length) return (form.lastChild.hidden = false);
    const note = make("p", { tabindex: "-1" }, this.#settings.words[sent ? "thanks" : "refused"]);
    form.replaceChildren(note);
    note.focus({ preventScroll: true });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
  }
}

mirror(CitewellChat.prototype);
if (!globalThis.customElements?.get(NAME)) globalThis.customElements?.define(NAME, CitewellChat);
