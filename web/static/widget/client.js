// What goes over the network: questions and feedback, without cookies, and failures in the reader's words.

import { fill } from "./elements.js";

const WAIT_MS = 30_000;
// The server reads at most 16 KiB, and five earlier questions.
const MAX_BODY = 15_000;
const MAX_EARLIER = 5;
export const MAX_QUESTION = 2000;

/** A reply that is not an answer: status 0 where there was none; `seconds` is what the server asked to wait. */
export class Refusal extends Error {
  constructor(kind, { status = 0, seconds = 0, detail = "" } = {}) {
    super(kind);
    Object.assign(this, { kind, status, seconds, detail });
  }
}

/** Send JSON and return the JSON that comes back, or null for none (204); everything else is thrown as a Refusal. */
export async function post(url, body, request = new AbortController()) {
  if (navigator.onLine === false) throw new Refusal("offline");
  const timer = setTimeout(() => request.abort(), WAIT_MS);
  try {
    const headers = { "Content-Type": "application/json", Accept: "application/json" };
    const settings = { method: "POST", headers, body: JSON.stringify(body), referrerPolicy: "no-referrer", signal: request.signal };
    const reply = await fetch(url, { ...settings, credentials: "omit", cache: "no-store" });
    const record = await reply.json().catch(() => null);
    if (reply.status === 204 || (reply.ok && record)) return record;
    throw refusal(reply, record);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(navigator.onLine === false ? "offline" : "unreached");
  } finally {
    clearTimeout(timer);
  }
}

function refusal(reply, record) {
  const { status } = reply;
  const kind = { 413: "long", 422: "invalid", 429: "limited", 503: "busy" }[status] ?? "refused";
  return new Refusal(kind, { status, seconds: Number(reply.headers.get("Retry-After")) || 0, detail: record?.detail ?? "" });
}

/** What to tell the reader. */
export function inWords({ kind, seconds, detail }, words) {
  if (kind === "invalid") return detail || words.refused;
  const when = seconds ? fill(words.wait, { n: seconds }) : words.moment;
  return fill(words[kind], { n: MAX_QUESTION }) + (/limited|busy|refused/.test(kind) ? ` ${when}` : "");
}

/** The body of POST /v1/ask; of the earlier questions as many of the latest as fit. */
export function askBody(question, earlier, { topK, filters, afterAlert }) {
  const body = { question, history: earlier.slice(-MAX_EARLIER), after_alert: afterAlert };
  if (topK >= 1 && topK <= 20) body.top_k = topK;
  if (filters) body.filters = filters;
  const size = () => new TextEncoder().encode(JSON.stringify(body)).length;
  while (body.history.length && size() > MAX_BODY) body.history.shift();
  return body;
}
