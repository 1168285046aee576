// A quote to paste elsewhere: word for word, then where it stands, then the disclaimer.

import { contextUrl, facts } from "./answer.js";
import { make, safeUrl } from "./elements.js";

export function copyText(quoted, answer, settings) {
  const cited = quoted.citation;
  const named = [cited.title || cited.source, cited.heading, cited.publisher].filter(Boolean).join(", ");
  const passage = new URL(contextUrl(cited, settings.base), document.baseURI).href;
  const where = [named, facts(cited, settings).join(". "), ...(safeUrl(cited.url) ? [cited.url] : []), passage];
  return [quoted.text, "", ...where, "", answer.disclaimer.text].join("\n");
}

/** Put a text on the clipboard; say whether that worked. */
export async function copied(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const [field, before] = [make("textarea.heard", { "aria-hidden": "true" }), place.activeElement];
    field.value = text;
    place.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus({ preventScroll: true });
    return done;
  }
}
