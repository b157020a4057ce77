// The results of a photo: which one is shown, and beside which other one.

import { tileUrl } from "./api.js";
import { byId, el } from "./dom.js";
import { number, t } from "./strings.js";

const factsOf = (inpainter, seed) => (seed ? t("tryOf", { inpainter, n: seed + 1 }) : inpainter);
const nameOf = (n) => (n === 0 ? t("original") : t("result", { n }));

/** choose(n) is called when a person chooses the original (0) or a result. */
export class Results {
  shown = 0;

  constructor(viewer, choose) {
    Object.assign(this, { viewer, choose, session: null });
    viewer.onBorder = (border) => {
      byId("border").value = Math.round(1000 * border);
    };
    byId("border").addEventListener("input", () => {
      viewer.border = byId("border").valueAsNumber / 1000;
      viewer.draw();
    });
    byId("compare").addEventListener("click", () => this.toggleCompare());
    byId("compare-with").addEventListener("change", () => this.compare(chosen()));
  }

  open(session) {
    this.session = session;
    this.compare(null);
  }

  add(fill) {
    this.session.fills.push(fill);
  }

  show(n) {
    this.shown = n;
    this.viewer.shown = n;
    if (n === 0 || this.viewer.compared === n) this.compare(null);
    else if (this.viewer.compared !== null) this.compare(this.viewer.compared);
    const { fills, width, height } = this.session;
    const fill = fills.find((it) => it.n === n);
    byId("result-panel").hidden = !fill;
    if (fill) {
      const labels = fill.remaining.map(({ label }) => label).join(", ");
      const share = number((100 * fill.changed_px) / width / height);
      byId("result-facts").textContent = [
        t("changed", { share }), labels && t("remains", { labels }), ...fill.notes,
      ].filter(Boolean).join(" · ");
    }
    this.#list();
    this.viewer.draw();
  }

  toggleCompare() {
    if (this.shown > 0) this.compare(this.viewer.compared === null ? chosen() : null);
  }

  /** Draw a border between picture n, at its left, and the shown one; null: no border. */
  compare(n) {
    this.viewer.compared = n;
    const isOn = n !== null;
    byId("compare").setAttribute("aria-pressed", isOn);
    for (const id of ["border", "before", "after"]) byId(id).hidden = !isOn;
    if (isOn) {
      byId("compare-with").value = n;
      byId("before").textContent = nameOf(n);
      byId("after").textContent = nameOf(this.shown);
    }
    this.viewer.draw();
  }

  #list() {
    const { fills, id, levels } = this.session;
    byId("results").hidden = fills.length === 0;
    const choices = [{ n: 0 }, ...fills];
    const hadFocus = byId("result-list").contains(document.activeElement);
    byId("result-list").replaceChildren(...choices.map(({ n, inpainter, seed }) =>
      el("label", { title: inpainter },
        el("input", { type: "radio", name: "result", value: n, checked: n === this.shown,
          onchange: () => this.choose(n) }),
        el("img", { src: tileUrl(id, n, levels.length - 1, 0, 0), alt: "" }),
        el("span", {}, nameOf(n), inpainter ? el("small", {}, factsOf(inpainter, seed)) : null))));
    if (hadFocus) byId("result-list").querySelector(":checked").focus();
    const others = choices.filter(({ n }) => n !== this.shown);
    byId("compare-field").hidden = others.length < 2;
    byId("compare-with").replaceChildren(...others.map(({ n }) =>
      el("option", { value: n, selected: n === this.viewer.compared }, nameOf(n))));
  }
}

const chosen = () => Number(byId("compare-with").value);
