// What the tab remembers: answered questions in sessionStorage, never elsewhere.

const MAX_TURNS = 20;
const MAX_LENGTH = 200_000;
const taken = new Set();

/** A place in sessionStorage that no other element of this document uses; the same one after a reload. */
export class Memory {
  constructor(name) {
    let [key, at] = [`citewell:${name}`, 1];
    while (taken.has(key)) key = `citewell:${name}:${++at}`;
    taken.add((this.key = key));
  }

  /** The turns kept, oldest first; an empty list where storage is forbidden or holds something else. */
  read() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(this.key));
      return Array.isArray(kept) ? kept.filter((turn) => turn?.question?.trim && turn.answer?.quotes) : [];
    } catch {
      return [];
    }
  }

  /** Keep the latest turns, as many as there is room for. */
  write(turns) {
    try {
      const kept = turns.slice(-MAX_TURNS);
      while (kept.length && JSON.stringify(kept).length > MAX_LENGTH) kept.shift();
      if (kept.length) sessionStorage.setItem(this.key, JSON.stringify(kept));
      else sessionStorage.removeItem(this.key);
    } catch {
      // Storage is full or forbidden: the conversation lives as long as the page.
    }
  }

  leave() {
    taken.delete(this.key);
  }
}
