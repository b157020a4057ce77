// What a person changed, as one document that the server understands, with undo and redo.
// Documents are never modified: each change makes a new one, which shares what stayed the same.

const EMPTY = { objects: {}, effects: {}, strokes: [], dilation_px: 0 };
const MOST_STEPS = 500;

export class Edits extends EventTarget {
  #past = [];
  #future = [];
  #now;

  constructor(now = EMPTY) {
    super();
    this.#now = now;
  }

  /** The EDITS document of the API. */
  get document() {
    return this.#now;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  setObjects(changes) {
    this.#change({ objects: { ...this.#now.objects, ...changes } });
  }

  setEffects(id, isOn) {
    this.#change({ effects: { ...this.#now.effects, [id]: isOn } });
  }

  addStroke(stroke) {
    this.#change({ strokes: [...this.#now.strokes, stroke] });
  }

  setDilation(px) {
    if (px !== this.#now.dilation_px) this.#change({ dilation_px: px });
  }

  undo() {
    this.#step(this.#past, this.#future);
  }

  redo() {
    this.#step(this.#future, this.#past);
  }

  #change(changes) {
    this.#past = [...this.#past.slice(-MOST_STEPS), this.#now];
    this.#future = [];
    this.#now = { ...this.#now, ...changes };
    this.dispatchEvent(new Event("change"));
  }

  #step(from, to) {
    if (from.length === 0) return;
    to.push(this.#now);
    this.#now = from.pop();
    this.dispatchEvent(new Event("change"));
  }
}
