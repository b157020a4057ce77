// The list of found objects: each a checkbox, and one for its shadow or reflection.

import { el } from "./dom.js";
import { pathOf } from "./marks.js";
import { number, t } from "./strings.js";

/** The objects of a session and what the edits say about them. */
export class Objects {
  all = [];
  hovered = null;
  #edits = null;

  /** Take the objects of a session; the suggested ones come first, then the large ones. */
  open(objects, edits) {
    this.#edits = edits;
    this.hovered = null;
    this.all = [];
    for (const object of objects) this.add(object);
    const order = ({ selected, isDoubtful }) => selected - isDoubtful;
    this.all.sort((a, b) => order(b) - order(a) || b.area_px - a.area_px);
  }

  add(object) {
    const path = pathOf(object.outline);
    const effectsPath = object.effects?.length ? pathOf(object.effects) : null;
    const isDoubtful = object.reason.startsWith("score below");
    this.all.push({ ...object, path, effectsPath, isDoubtful });
  }

  isOn({ id, selected }) {
    return this.#edits.document.objects[id] ?? selected;
  }

  areEffectsOn({ id }) {
    return this.#edits.document.effects[id] ?? true;
  }

  get chosen() {
    return this.all.filter((object) => this.isOn(object));
  }

  /** Return the smallest object at a point, or the chosen one whose effects are there. */
  at(context, [x, y]) {
    const within = (path) => path && context.isPointInPath(path, x, y, "evenodd");
    const bySize = this.all.toSorted((a, b) => a.area_px - b.area_px);
    const object = bySize.find(({ path }) => within(path));
    if (object) return { object, isEffect: false };
    const caster = this.chosen.find(({ effectsPath }) => within(effectsPath));
    return caster ? { object: caster, isEffect: true } : null;
  }

  /** What drawMarks takes. */
  get marks() {
    return this.all.map((object) => ({
      path: object.path,
      effectsPath: object.effectsPath,
      isOn: this.isOn(object),
      areEffectsOn: this.areEffectsOn(object),
      isHovered: object.id === this.hovered,
      isDoubtful: object.isDoubtful,
    }));
  }
}

/** Return the list's rows; `redraw` is called when a row is pointed at. */
export function objectRows(objects, edits, redraw) {
  const hover = (id) => () => {
    objects.hovered = id;
    redraw();
  };
  return objects.all.map((object) => {
    const { id, label, score, share, source } = object;
    const factsKey = source === "outlined" ? "objectFactsOutlined" : "objectFacts";
    const facts = t(factsKey, { score: number(100 * score), share: number(100 * (share ?? 0)) });
    const main = el("input", {
      type: "checkbox",
      "data-object": id,
      onchange: () => edits.setObjects({ [id]: main.checked }),
      onfocus: hover(id),
      onblur: hover(null),
    });
    const row = el("li",
      { onpointerenter: hover(id), onpointerleave: hover(null), class: object.isDoubtful ? "doubtful" : null },
      el("label", {}, main, el("span", {}, label, el("small", {}, facts))));
    let effects = null;
    if (object.effectsPath) {
      effects = el("input", {
        type: "checkbox",
        "data-effects": id,
        onchange: () => edits.setEffects(id, effects.checked),
      });
      row.append(el("label", { class: "effects" }, effects, el("span", {}, t("effects"))));
    }
    const update = () => {
      main.checked = objects.isOn(object);
      if (!effects) return;
      effects.checked = main.checked && objects.areEffectsOn(object);
      effects.disabled = !main.checked;
    };
    edits.addEventListener("change", update);
    update();
    return row;
  });
}
