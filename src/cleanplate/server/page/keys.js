// Keys: which one does what, and the list of them that `?` shows.
// A binding is {keys, shown, words, run, release}: `keys` as keyOf names them, `words` of strings.js.

import { byId, el } from "./dom.js";
import { t } from "./strings.js";

/** Return a name such as "b", "Ctrl+Shift+z", " " or "ArrowLeft". */
function keyOf(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.altKey) return "";
  if (!event.ctrlKey && !event.metaKey) return key;
  return `Ctrl+${event.shiftKey ? "Shift+" : ""}${key}`;
}

/** Whether a key belongs to what has the focus. */
function isTaken(target, key) {
  if (target.closest("dialog")) return true;
  const kind = target.tagName === "INPUT" ? target.type : target.tagName;
  if (["text", "number", "search", "TEXTAREA"].includes(kind)) return key !== "Escape";
  if (["SELECT", "range", "radio"].includes(kind) && /^(Arrow|Page|Home|End)/.test(key)) return true;
  if (kind === "SELECT") return key.length === 1 || key === "Enter";
  if (key === " ") return ["BUTTON", "A", "checkbox", "radio", "SUMMARY"].includes(kind);
  return key === "Enter" && ["BUTTON", "A", "SUMMARY"].includes(kind);
}

/** Listen to keys; `current` returns the bindings that hold now. */
export function listenToKeys(current) {
  const find = (event) => {
    const key = keyOf(event);
    if (isTaken(event.target, key)) return null;
    return current().find((binding) => binding.keys.includes(key));
  };
  document.addEventListener("keydown", (event) => {
    const binding = find(event);
    if (!binding) return;
    event.preventDefault();
    if (!event.repeat || binding.repeats) binding.run(event);
  });
  document.addEventListener("keyup", (event) => {
    for (const { keys, release } of current()) if (release && keys.includes(keyOf(event))) release();
  });
  window.addEventListener("blur", () => {
    for (const { release } of current()) release?.();
  });
}

/** Show all keys; groups: [[title, bindings], ...]. */
export function showKeys(groups) {
  byId("keys-list").replaceChildren(
    ...groups.map(([title, bindings]) =>
      el("section", {}, el("h3", {}, title), el("dl", {}, ...bindings.filter(({ shown }) => shown)
        .map(({ shown, words }) => el("div", {},
          el("dt", {}, ...shown.split(" ").map((key) => el("kbd", {}, key))),
          el("dd", {}, t(words)))))),
    ),
  );
  byId("keys-dialog").showModal();
}
