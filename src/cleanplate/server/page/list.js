// A list of thousands of rows of which only the visible ones are in the document.

import { delayed, el } from "./dom.js";

const PAGE = 100; // rows of a request
const REST_MS = 80; // rows are asked for once the list has stopped moving
const BEYOND = 6; // rows above and below that are there too
const MOST_PAGES = 30; // that are kept

/**
 * box: a focusable element with role "listbox"; rowPx: the height of each row.
 * load(offset, limit) resolves to {total, rows}; draw(row, index) returns the contents of one.
 * onChoose(row, index) is called when another row becomes the current one.
 */
export class VirtualList {
  total = 0;
  current = -1;
  #pages = new Map(); // page -> rows
  #asked = new Map(); // page -> promise, while its rows are on their way
  #shown = new Map(); // index -> element
  #round = 0; // which reload the answers belong to
  #isScheduled = false;

  constructor(box, { rowPx, load, draw, onChoose }) {
    Object.assign(this, { box, rowPx, load, draw, onChoose });
    this.space = el("div", { class: "space", role: "presentation" });
    box.replaceChildren(this.space);
    box.addEventListener("scroll", () => this.#schedule());
    box.addEventListener("click", (event) => {
      const index = event.target.closest("[data-index]")?.dataset.index;
      if (index !== undefined) this.choose(Number(index));
    });
    new ResizeObserver(() => this.#schedule()).observe(box);
  }

  /** Ask for everything again, and go to the first row. */
  async reload() {
    this.#round += 1;
    this.#pages.clear();
    this.#asked.clear();
    for (const element of this.#shown.values()) element.remove();
    this.#shown.clear();
    this.box.scrollTop = 0;
    this.current = -1;
    this.total = 0;
    await this.#fetch(0);
    if (this.total > 0) this.choose(0);
  }

  /** Ask again for the rows that are here. */
  async refresh() {
    await Promise.all(this.#asked.values());
    await Promise.all([...this.#pages.keys()].map((page) => this.#read(page)));
  }

  row(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Replace a row that is here, found by its number. */
  update(row) {
    for (const [page, rows] of this.#pages) {
      const at = rows.findIndex(({ n }) => n === row.n);
      if (at < 0) continue;
      rows[at] = row;
      this.#redraw(page * PAGE + at);
      return page * PAGE + at;
    }
    return -1;
  }

  /** Make a row the current one, and bring it into view. */
  async choose(wanted) {
    const index = Math.min(this.total - 1, Math.max(0, wanted));
    if (index < 0) return;
    const old = this.current;
    this.current = index;
    const top = index * this.rowPx;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + this.rowPx > scrollTop + clientHeight) {
      this.box.scrollTop = top + this.rowPx - clientHeight;
    }
    if (!this.row(index)) await this.#fetch(Math.floor(index / PAGE));
    this.#draw();
    this.#redraw(old);
    this.#redraw(index);
    this.box.setAttribute("aria-activedescendant", `row-${index}`);
    if (this.current === index && this.row(index)) this.onChoose(this.row(index), index);
  }

  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#draw();
    });
  }

  async #fetch(page) {
    if (this.#pages.has(page)) return;
    if (!this.#asked.has(page)) this.#asked.set(page, this.#read(page));
    await this.#asked.get(page);
  }

  async #read(page) {
    const round = this.#round;
    const { total, rows } = await this.load(page * PAGE, PAGE);
    if (round !== this.#round) return;
    this.#asked.delete(page);
    this.#pages.set(page, rows);
    this.total = total;
    this.space.style.height = `${total * this.rowPx}px`;
    for (const key of this.#pages.keys()) {
      if (this.#pages.size <= MOST_PAGES) break;
      if (Math.abs(key - page) > 2) this.#pages.delete(key);
    }
    for (let at = 0; at < rows.length; at += 1) this.#redraw(page * PAGE + at);
    this.#draw();
  }

  #draw() {
    const { scrollTop, clientHeight } = this.box;
    const first = Math.max(0, Math.floor(scrollTop / this.rowPx) - BEYOND);
    const end = Math.min(this.total, Math.ceil((scrollTop + clientHeight) / this.rowPx) + BEYOND);
    for (const [index, element] of this.#shown) {
      if (index >= first && index < end) continue;
      element.remove();
      this.#shown.delete(index);
    }
    for (let index = first; index < end; index += 1) {
      if (this.#shown.has(index)) continue;
      const element = el("div", {
        id: `row-${index}`, class: "list-row", role: "option", "data-index": index,
        "aria-setsize": this.total, "aria-posinset": index + 1,
      });
      element.style.top = `${index * this.rowPx}px`;
      element.style.height = `${this.rowPx}px`;
      this.#shown.set(index, element);
      this.#redraw(index);
      this.space.append(element);
    }
    this.#fetchShown();
  }

  #fetchShown = delayed(() => {
    for (const index of this.#shown.keys()) this.#fetch(Math.floor(index / PAGE)).catch(() => {});
  }, REST_MS);

  #redraw(index) {
    const element = this.#shown.get(index);
    if (!element) return;
    const row = this.row(index);
    element.setAttribute("aria-selected", index === this.current);
    element.replaceChildren(...(row ? this.draw(row) : []));
  }
}
