// One turn of the conversation as elements: the question, and the record of POST /v1/ask as it came.
// templates/answer.html shows the same words where there is no script; a test compares the two.

import { age, blocks, fill, fragmentUrl, link, make, phonesLinked, safeUrl } from "./elements.js";

const TAGS = ["off_topic", "hard_to_read", "outdated", "incomplete", "unsafe"];

/** How turns are shown: words, language, base address, heading level of a question, whether passages open a new tab. */
export function turnOf(question, answer, shown) {
  const turn = turnFrame(question, answer.status, shown);
  if (answer.alert) turn.append(alertCard(answer.alert, shown));
  if (answer.status === "alert" && !answer.quotes.length) turn.append(button("after", question, shown.words.after));
  if (answer.searched_as) {
    turn.append(make("p.searched", {}, `${shown.words.searched} `, make("q", {}, answer.searched_as)));
  }
  if (answer.message) turn.append(...abstention(answer, shown));
  if (answer.quotes.length) turn.append(...quotesOf(answer, shown));
  if (answer.suggestions.length) turn.append(choices("suggestions", shown.words.suggestions, answer.suggestions, shown.fixed));
  if (shown.feedback && answer.status !== "alert") turn.append(feedback(shown));
  turn.append(make("p.disclaimer", { ...shown.fixed }, answer.disclaimer.text));
  return turn;
}

/** A turn that has only its question yet. */
export function turnFrame(question, status, { level }) {
  const heading = make(`h${level}.question`, { dir: "auto" }, question);
  return make("article.turn", { "data-status": status }, heading);
}

/** Questions to ask with a tap; attributes say the language where it is not the interface's. */
export function choices(name, lead, questions, attributes = {}) {
  const items = questions.map((question) => make("li", { ...attributes }, button("question", question, question)));
  return make(`div.${name}`, {}, make("p", {}, lead), make("ul", {}, ...items));
}

export function button(name, value, text) {
  return make("button.choice", { type: "button", name, value }, text);
}

function abstention(answer, { words, fixed }) {
  const topics = answer.topics.map((topic) => make("li", { ...fixed }, topic));
  return [
    make("p.abstention", { ...fixed }, answer.message),
    make("p.advice", { ...fixed }, answer.advice ?? ""),
    ...(topics.length ? [make("p.lead", {}, words.topics), make("ul.topics", {}, ...topics)] : []),
  ];
}

function quotesOf(answer, shown) {
  const percent = Math.floor(answer.confidence * 100 + 0.5);
  return [
    make("p.lead", {}, shown.words.quoted),
    make("ol.quotes", {}, ...answer.quotes.map((quoted) => quote(quoted, shown))),
    make("p.confidence", {}, fill(shown.words.chance, { percent })),
  ];
}

function quote(quoted, shown) {
  const cited = quoted.citation;
  const language = languageOf(cited, shown);
  const title = [make("span.number", {}, String(cited.number)), cited.heading || cited.title || cited.source];
  const topic = make(`h${shown.level + 1}.topic`, { dir: "auto", ...language }, ...title);
  const text = make("blockquote.text", { dir: "auto", ...language }, ...blocks(quoted.text, quoted.highlights));
  return make("li", {}, make("figure.quote", {}, topic, text, citation(quoted, shown)));
}

function languageOf(cited, shown) {
  return cited.language ? { lang: cited.language } : shown.fixed;
}

function citation(quoted, shown) {
  const { words } = shown;
  const cited = quoted.citation;
  const n = cited.number;
  const language = languageOf(cited, shown);
  const context = { href: contextUrl(cited, shown.base), ...shown.newTab };
  const url = fragmentUrl(cited.url, quoted.text, quoted.highlights);
  return make(
    "figcaption.citation",
    {},
    make("p.source", { ...language }, make("cite", {}, cited.title || cited.source), cited.publisher ? `, ${cited.publisher}` : null),
    make("p.facts", {}, ...facts(cited, shown).map((fact) => make("span", {}, fact))),
    ...(cited.references.length ? references(cited.references, shown) : []),
    make(
      "p.links",
      {},
      make("a.context", context, fill(words.context, { n })),
      safeUrl(url) ? link(url, words.page) : null,
      make("button.copy", { type: "button", name: "copy", value: String(n) }, fill(words.copy, { n })),
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
  return [reviewed, ...(cited.license ? [`${words.licence} ${cited.license}`] : [])];
}

function references(works, { words, fixed }) {
  const items = works.map(({ url, title, publisher }) =>
    make("li", { ...fixed }, link(url, title || url), publisher ? `, ${publisher}` : null),
  );
  return [make("p.based", {}, words.based), make("ul.references", {}, ...items)];
}

function proof(cited, words) {
  const rows = [
    [words.passage, cited.passage_id],
    [words.file, cited.source],
    [words.characters, fill(words.range, cited)],
    [words.digest, cited.sha256],
  ].flatMap(([name, value]) => (value ? [make("dt", {}, name), make("dd", {}, value)] : []));
  const summary = make("summary", {}, fill(words.check, { n: cited.number }));
  return make("details.proof", {}, summary, make("dl", {}, ...rows));
}

function alertCard(alert, { words, fixed, level }) {
  const { url, title, publisher } = alert.source;
  return make(
    "section.alert",
    { "data-level": alert.level },
    make("p.level", {}, words[alert.level] ?? alert.level),
    make(`h${level + 1}`, { ...fixed }, alert.title),
    make("ul.actions", { ...fixed }, ...alert.actions.map((action) => make("li", {}, ...phonesLinked(action)))),
    make("p", { ...fixed }, ...phonesLinked(alert.message)),
    make("p.origin", {}, `${words.origin} `, make("span", { ...fixed }, link(url, title || url)), publisher ? `, ${publisher}` : null),
  );
}

/** Whether it helped, and once the answer is no, what was wrong: one tap each, and nothing to type that could be private. */
function feedback({ words }) {
  const thumbs = [button("up", "", words.yes), button("down", "", words.no)];
  const tags = TAGS.map((tag) => button("tag", tag, words[tag]));
  return make("div.feedback", {}, make("p", {}, `${words.helpful} `, ...thumbs), make("p", { hidden: "" }, `${words.wrong} `, ...tags));
}
