// Small helpers for the document. Text is only ever set as text, never as HTML.

import { t } from "./strings.js";

export const byId = (id) => document.getElementById(id);

/** Return a new element; properties that start with "on" are listeners, the others attributes. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Put the words of strings.js where index.html names them. */
export function fillWords(root = document) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    const words = t(element.dataset.label);
    element.setAttribute("aria-label", words);
    const keys = element.getAttribute("aria-keyshortcuts");
    element.title = keys ? `${words} (${keys.replaceAll("Control+", "Ctrl+")})` : words;
  }
  for (const element of root.querySelectorAll("[data-placeholder]")) {
    element.placeholder = t(element.dataset.placeholder);
  }
}

/** Focus `next`, unless what has the focus can still be seen; lost focus is back at the top. */
export function keepFocus(next) {
  const now = document.activeElement;
  if (now && now !== document.body && now.checkVisibility()) return;
  next?.focus({ preventScroll: true });
}

let hiding = 0;

/** Say something briefly, also to screen readers; with `stays`, until something else is said. */
export function say(words, { stays = false } = {}) {
  const status = byId("status");
  clearTimeout(hiding);
  status.classList.toggle("shown", words !== "");
  if (words) status.textContent = words;
  if (words && !stays) hiding = setTimeout(() => status.classList.remove("shown"), 2500);
}

/** Show an error until it is closed or something succeeds. */
export function sayError(error) {
  if (error.status === undefined) console.error(error); // not an answer of the server
  byId("error-text").textContent = error.message;
  byId("error").hidden = false;
}

export function clearError() {
  byId("error").hidden = true;
}

/** Return a listener that shows the errors of an async function. */
export function catchErrors(task) {
  return async (...values) => {
    try {
      await task(...values);
    } catch (error) {
      if (error.name !== "AbortError") sayError(error);
    }
  };
}

/** Return a function that runs `task` once calls have paused for some milliseconds. */
export function delayed(task, ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(task, ms);
  };
}
