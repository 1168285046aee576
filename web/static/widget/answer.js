// One turn of the conversation as elements: the question, and the record of POST /v1/ask as it came.
// templates/answer.html shows the same words where there is no script; a test compares the two.

import { age, blocks, fill, fragmentUrl, icon, link, make, phonesLinked, safeUrl } from "./elements.js";

const COPY = "M9 9h11v11H9zM5 15H4V4h11v1";
const TAGS = ["off_topic", "unclear", "outdated", "incomplete"];
const MAX_NOTES = 1000;

/** How turns are shown: words, language, base address, heading level of a question, whether passages open a new tab. */
export function turnOf(question, answer, shown) {
  const turn = turnFrame(question, answer.status, shown);
  if (answer.alert) turn.append(alertCard(answer.alert, shown));
  if (answer.status === "alert" && !answer.quotes.length) turn.append(button("after", question, shown.words.after));
  if (answer.searched_as) {
    turn.append(make("p", { class: "searched" }, `${shown.words.searched} `, make("q", {}, answer.searched_as)));
  }
  if (answer.message) turn.append(...abstention(answer, shown));
  if (answer.quotes.length) turn.append(...quotesOf(answer, shown));
  if (answer.suggestions.length) turn.append(choices("suggestions", shown.words.suggestions, answer.suggestions));
  if (shown.feedback && answer.status !== "alert") turn.append(feedback(shown));
  turn.append(make("p", { class: "disclaimer", part: "disclaimer", ...shown.fixed }, answer.disclaimer.text));
  return turn;
}

/** A turn that has only its question yet. */
export function turnFrame(question, status, { level }) {
  const heading = make(`h${level}`, { class: "question", part: "question", dir: "auto" }, question);
  return make("article", { class: "turn", part: "turn", "data-status": status }, heading);
}

/** Questions to ask with a tap. */
export function choices(name, lead, questions) {
  const items = questions.map((question) => make("li", {}, button("question", question, question)));
  return make("div", { class: name, part: name }, make("p", {}, lead), make("ul", {}, ...items));
}

export function button(name, value, text) {
  return make("button", { type: "button", name, value, class: "choice", part: "choice" }, text);
}

function abstention(answer, { words, fixed }) {
  const topics = answer.topics.map((topic) => make("li", {}, topic));
  return [
    make("p", { class: "abstention", part: "abstention", ...fixed }, answer.message),
    make("p", { class: "advice", ...fixed }, answer.advice ?? ""),
    ...(topics.length ? [make("p", { class: "lead" }, words.topics), make("ul", { class: "topics" }, ...topics)] : []),
  ];
}

function quotesOf(answer, shown) {
  const percent = Math.floor(answer.confidence * 100 + 0.5);
  return [
    make("p", { class: "lead" }, shown.words.quoted),
    make("ol", { class: "quotes" }, ...answer.quotes.map((quoted) => quote(quoted, shown))),
    make("p", { class: "confidence" }, fill(shown.words.chance, { percent })),
  ];
}

function quote(quoted, shown) {
  const cited = quoted.citation;
  const language = cited.language ? { lang: cited.language } : shown.fixed;
  const title = [make("span", { class: "number" }, String(cited.number)), cited.heading || cited.title || cited.source];
  const topic = make(`h${shown.level + 1}`, { class: "topic", dir: "auto", ...language }, ...title);
  const own = { class: "text", part: "text", dir: "auto", ...language };
  const text = make("blockquote", own, ...blocks(quoted.text, quoted.highlights));
  return make("li", {}, make("figure", { class: "quote", part: "quote" }, topic, text, citation(quoted, shown)));
}

function citation(quoted, shown) {
  const { words } = shown;
  const cited = quoted.citation;
  const n = cited.number;
  const context = { class: "context", href: contextUrl(cited, shown.base), ...shown.newTab };
  const url = fragmentUrl(cited.url, quoted.text, quoted.highlights);
  return make(
    "figcaption",
    { class: "citation", part: "citation" },
    make("p", { class: "source" }, make("cite", {}, cited.title || cited.source), cited.publisher ? `, ${cited.publisher}` : null),
    make("p", { class: "facts" }, ...facts(cited, shown).map((fact) => make("span", {}, fact))),
    ...(cited.references.length ? references(cited.references, words) : []),
    make(
      "p",
      { class: "links" },
      make("a", context, fill(words.context, { n })),
      safeUrl(url) ? link(url, words.page) : null,
      make("button", { type: "button", name: "copy", value: n, class: "copy" }, icon(COPY), fill(words.copy, { n })),
    ),
    proof(cited, words),
  );
}

/** The address of the quote marked in its whole passage. */
export function contextUrl(cited, base) {
  return `${base}/passages/${encodeURIComponent(cited.passage_id)}?start=${cited.start}&end=${cited.end}#quote`;
}

/** When the source was written or reviewed and how long ago that is, and its licence where it states one. */
export function facts(cited, { words, language }) {
  const ago = age(cited.reviewed, language);
  const reviewed = cited.reviewed ? `${words.reviewed} ${cited.reviewed}${ago}` : words.undated;
  return [reviewed, ...(cited.license ? [`${words.licence}: ${cited.license}`] : [])];
}

function references(works, words) {
  const items = works.map(({ url, title, publisher }) =>
    make("li", {}, link(url, title || url), publisher ? `, ${publisher}` : null),
  );
  return [make("p", { class: "based" }, words.based), make("ul", { class: "references" }, ...items)];
}

function proof(cited, words) {
  const rows = [
    [words.passage, cited.passage_id],
    [words.file, cited.source],
    [words.characters, fill(words.range, cited)],
    [words.digest, cited.sha256],
  ].flatMap(([name, value]) => (value ? [make("dt", {}, name), make("dd", {}, value)] : []));
  const summary = make("summary", {}, fill(words.check, { n: cited.number }));
  return make("details", { class: "proof" }, summary, make("dl", {}, ...rows));
}

function alertCard(alert, { words, fixed, level }) {
  const { url, title, publisher } = alert.source;
  return make(
    "section",
    { class: "alert", part: "alert", "data-level": alert.level, "aria-label": words[alert.level] ?? alert.level },
    make("p", { class: "level" }, words[alert.level] ?? alert.level),
    make(`h${level + 1}`, { ...fixed }, alert.title),
    make("ul", { class: "actions", ...fixed }, ...alert.actions.map((action) => make("li", {}, ...phonesLinked(action)))),
    make("p", { ...fixed }, ...phonesLinked(alert.message)),
    make("p", { class: "origin" }, `${words.origin} `, link(url, title || url), publisher ? `, ${publisher}` : null),
  );
}

/** The form for thumbs, and for what was wrong once the thumb is down. */
function feedback({ words }) {
  const tags = TAGS.map((value) => make("label", {}, make("input", { type: "checkbox", name: "tags", value }), words[value]));
  const notes = make("textarea", { name: "notes", rows: 2, maxlength: MAX_NOTES });
  return make(
    "form",
    { class: "feedback", part: "feedback" },
    make("p", {}, `${words.helpful} `, thumb(1, words.yes), thumb(0, words.no)),
    make(
      "fieldset",
      { hidden: "" },
      make("legend", {}, words.wrong),
      ...tags,
      make("label", { class: "notes" }, words.notes, notes),
      make("button", { name: "send", class: "choice" }, words.send),
    ),
  );
}

function thumb(value, text) {
  return make("button", { type: "button", name: "thumb", value, class: "choice" }, text);
}
