// One photo: selection, filling, and results.

import * as api from "./api.js";
import { byId, catchErrors, clearError, el, keepFocus, say, sayError } from "./dom.js";
import { Edits } from "./edits.js";
import { drawMarks } from "./marks.js";
import { Objects, objectRows } from "./objects.js";
import { Results } from "./results.js";
import { number, t } from "./strings.js";
import { Toolbox } from "./tools.js";
import { Viewer } from "./viewer.js";

const PAN_PX = 60; // of an arrow key

/** Edits the photo of one session at a time; `leave` is called when a photo of a run is done. */
export class PhotoEditor {
  constructor(leave) {
    this.leave = leave;
    this.canOutline = false; // whether a click outlines what was not found
    this.session = null;
    this.edits = new Edits();
    this.objects = new Objects();
    this.job = null; // the run that the photo is from
    this.task = null; // an AbortController while the server works
    this.isHeld = false; // Space
    this.stopListening = () => {};
    this.viewer = new Viewer(byId("stage"), byId("picture"), byId("marks"));
    this.viewer.drawMarks = (context, scale) => this.#drawMarks(context, scale);
    this.viewer.canPanNow = () => this.isHeld;
    this.viewer.onClick = catchErrors((point) => this.#click(point));
    this.viewer.onHover = (point) => this.#hover(point);
    this.results = new Results(this.viewer, (n) => this.show(n));
    this.toolbox = new Toolbox(this.viewer, {
      drawn: (stroke) => this.edits.addStroke(stroke),
      chosen: (name) => name === "select" || this.#toOriginal(),
    });
    this.#listen();
  }

  // --- opening

  /** Open a file that a person gave, and return the id of its session. */
  async openFile(file) {
    if (file.type && !file.type.startsWith("image/")) throw new Error(t("errorNotPhoto"));
    this.#stop();
    clearError();
    say(t("loading", { name: file.name }), { stays: true });
    this.#open(await api.openPhoto(file).catch((error) => {
      say("");
      error.message = `${file.name}: ${error.message}`;
      throw error;
    }));
    const { id } = this.session;
    this.find();
    return id;
  }

  /** Open a session that exists; job: the run that its photo is from. */
  async openSession(id, job = null) {
    this.#stop();
    this.#open(await api.readSession(id), job);
    if (this.session.objects !== null) return;
    await this.find();
    if (job) this.#choose(({ label }) => job.labels.includes(label) || job.labels.includes("all"));
  }

  #open(session, job = null) {
    this.stopListening();
    this.session = session;
    this.job = job;
    const { id } = session;
    history.replaceState(null, "", job ? " " : `#session=${encodeURIComponent(id)}`);
    this.edits = new Edits(rememberedEdits(id));
    this.edits.addEventListener("change", () => this.#edited());
    this.stopListening = api.listenToSession(id, (event) => this.#tellProgress(event));
    this.viewer.open({
      width: session.width,
      height: session.height,
      previewWidth: session.preview.width,
      tile: session.tile,
      levels: session.levels.length,
      preview: (n) => api.previewUrl(id, n),
      tileUrl: (n, ...place) => api.tileUrl(id, n, ...place),
    });
    byId("photo-view").classList.remove("empty");
    byId("photo-view").style.setProperty("--aspect", session.height / session.width);
    byId("name").textContent = session.name;
    document.title = `${session.name} – ${t("title")}`;
    byId("marks").setAttribute("aria-label", t("canvas", session));
    this.viewer.fit();
    this.toolbox.mostPx = Math.max(session.width, session.height) / 4;
    this.results.open(session);
    this.#takeObjects(session.objects ?? []);
    this.show(session.fills.at(-1)?.n ?? 0);
    say(session.notes.join(" "));
  }

  /** Look for objects. */
  async find() {
    await this.#work(t("stageFind"), async (signal) => {
      const { objects } = await api.findObjects(this.session.id, signal);
      this.session.objects = objects;
      this.#takeObjects(objects);
      const n = this.objects.all.filter(({ isDoubtful }) => !isDoubtful).length;
      const selected = this.objects.chosen.length;
      say(n ? t(selected ? "foundSuggested" : "found", { n, selected }) : t("objectsNone"));
    });
  }

  #takeObjects(objects) {
    this.objects.open(objects, this.edits);
    this.#listObjects();
  }

  #listObjects() {
    const rows = objectRows(this.objects, this.edits, () => this.viewer.draw());
    byId("objects").replaceChildren(...rows);
    this.#edited();
  }

  // --- selection

  async #click(point) {
    if (!this.session || this.results.shown > 0 || this.task) return;
    const hit = this.objects.at(hitContext, point);
    if (hit?.isEffect) {
      this.edits.setEffects(hit.object.id, !this.objects.areEffectsOn(hit.object));
      say(t(this.objects.areEffectsOn(hit.object) ? "effectsOn" : "effectsOff"));
    } else if (hit) {
      const isOn = !this.objects.isOn(hit.object);
      this.edits.setObjects({ [hit.object.id]: isOn });
      say(t(isOn ? "selected" : "unselected", hit.object));
    } else if (this.canOutline) {
      const [x, y] = point;
      const { width, height, id } = this.session;
      if (x < 0 || y < 0 || x >= width || y >= height) return;
      await this.#work(t("stageMask"), async () => {
        const object = await api.outline(id, [[x, y, 1]]);
        this.objects.add({ ...object, selected: false });
        this.edits.setObjects({ [object.id]: true });
        this.#listObjects();
        say(t("selected", object));
      });
    } else say(t("nothingHere"));
  }

  #hover(point) {
    if (!this.session || this.results.shown > 0) return;
    const hit = point && this.objects.at(hitContext, point);
    byId("marks").classList.toggle("on-object", Boolean(hit));
    if (this.objects.hovered === (hit?.object.id ?? null)) return;
    this.objects.hovered = hit?.object.id ?? null;
    this.viewer.draw();
  }

  #drawMarks(context, scale) {
    if (this.results.shown > 0 || this.isHeld) return;
    const { strokes, dilation_px: dilationPx } = this.edits.document;
    const drawn = this.viewer.tool?.stroke;
    drawMarks(context, scale, {
      objects: this.objects.marks,
      strokes: drawn ? [...strokes, drawn] : strokes,
      dilationPx,
    });
  }

  #edited() {
    const { document: now, canUndo, canRedo } = this.edits;
    byId("undo").disabled = !canUndo;
    byId("redo").disabled = !canRedo;
    byId("margin").value = now.dilation_px;
    byId("margin-value").textContent = now.dilation_px
      ? t("marginValue", { n: (now.dilation_px > 0 ? "+" : "−") + Math.abs(now.dilation_px) })
      : t("marginAuto");
    const isAnything = this.objects.chosen.length > 0
      || now.strokes.some(({ tool }) => tool === "brush" || tool === "lasso");
    byId("remove").disabled = !isAnything;
    byId("objects-hint").textContent =
      t(this.objects.all.length || !this.session?.objects ? "objectsHint" : "objectsNone");
    if (this.session) rememberEdits(this.session.id, now);
    this.viewer.draw();
  }

  undo() {
    if (!this.edits.canUndo) return;
    this.#toOriginal();
    this.edits.undo();
    say(t("undone"));
  }

  redo() {
    if (!this.edits.canRedo) return;
    this.#toOriginal();
    this.edits.redo();
    say(t("redone"));
  }

  #toOriginal() {
    if (this.results.shown > 0) this.show(0);
  }

  // --- filling

  /** Fill what was chosen, with the server's inpainter or another, and a seed. */
  async fill(inpainter = null, seed = 0) {
    if (!this.session || this.task || byId("remove").disabled) return;
    await this.#work(t("stageMask"), async (signal) => {
      const wanted = { edits: this.edits.document, inpainter, seed };
      const start = performance.now();
      const fill = await api.fill(this.session.id, wanted, signal);
      const former = this.results.shown;
      this.results.add(fill);
      this.show(fill.n);
      if (former > 0) this.results.compare(former);
      say(t("filled", { s: number((performance.now() - start) / 1000) }));
    });
  }

  /** Fill with a model; with one that has filled this photo, try the next seed. */
  #fillAgain(inpainter) {
    const seeds = this.session.fills.filter((it) => it.inpainter === inpainter).map(({ seed }) => seed);
    return this.fill(inpainter, Math.max(-1, ...seeds) + 1);
  }

  cancel() {
    if (this.task) this.#stop();
    else this.toolbox.choose("select");
  }

  /** End what the server does for this photo. */
  #stop() {
    this.task?.abort();
  }

  /** Run a task of the server: with progress, and a button to cancel it. */
  async #work(words, task) {
    const controller = new AbortController();
    this.task = controller;
    clearError();
    byId("progress-text").textContent = words;
    this.#updateActions();
    try {
      await task(controller.signal);
    } catch (error) {
      if (error.name !== "AbortError") sayError(error);
      else if (this.task === controller) say(t("cancelled"));
    } finally {
      if (this.task === controller) this.task = null;
      this.#updateActions();
    }
  }

  #tellProgress({ stage, position, part }) {
    const key = { find: "stageFind", queued: "stageQueued", mask: "stageMask", fill: "stageFill",
      write: "stageWrite" }[stage];
    if (!this.task || !key || (stage === "queued" && !position)) return;
    byId("progress-text").textContent = t(key, { n: position ?? part });
  }

  // --- results

  /** Show the original, to select objects (0), or a result. */
  show(n) {
    if (n > 0) this.toolbox.choose("select");
    this.results.show(n);
    byId("edit-panel").hidden = n > 0;
    this.#updateActions();
  }

  #updateActions() {
    const isWorking = this.task !== null;
    const isResult = this.results.shown > 0;
    const mustAccept = Boolean(this.session?.accepts);
    const shown = {
      "progress-field": isWorking,
      remove: !isWorking && !isResult,
      download: !isWorking && isResult && !mustAccept,
      "download-mask": !isWorking && isResult && !mustAccept,
      accept: !isWorking && isResult && mustAccept,
      dismiss: !isWorking && Boolean(this.job || this.session?.cancels),
      change: !isWorking && isResult,
    };
    for (const [id, isShown] of Object.entries(shown)) byId(id).hidden = !isShown;
    byId("photo-view").classList.toggle("working", isWorking);
    byId("fill-again").disabled = isWorking;
    if (isResult) {
      byId("download").href = api.resultUrl(this.session.id, this.results.shown, "photo");
      byId("download-mask").href = api.resultUrl(this.session.id, this.results.shown, "mask");
    }
    if (mustAccept) byId("accept").textContent = t(this.job ? "saveToRun" : "accept");
    const done = mustAccept ? "accept" : "download";
    if (this.session) keepFocus(byId(isWorking ? "cancel" : isResult ? done : "marks"));
  }

  async #accept() {
    await api.acceptFill(this.session.id, this.results.shown);
    this.#end("accepted", "savedToRun");
  }

  async #dismiss() {
    if (!this.job) await api.dismiss(this.session.id);
    this.#end("dismissed", null);
  }

  #end(editKey, jobKey) {
    if (this.job) {
      if (jobKey) say(t(jobKey));
      this.leave();
    } else {
      document.body.replaceChildren(el("main", { class: "ended" }, el("p", { role: "status" }, t(editKey))));
    }
  }

  /** Put the result that is shown on the clipboard. */
  async copy() {
    const { id } = this.session;
    const url = api.resultUrl(id, this.results.shown, "png");
    if (!navigator.clipboard?.write) throw new Error(t("errorNoClipboard"));
    const picture = api.readPicture(url); // a promise: some browsers want it before it is there
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
    say(t("copied"));
  }

  // --- what people press

  hold(isHeld) {
    this.isHeld = isHeld;
    this.viewer.held = isHeld ? 0 : null;
    byId("stage").classList.toggle("held", isHeld);
    this.viewer.draw();
  }

  #listen() {
    const on = (id, task, event = "click") => byId(id).addEventListener(event, catchErrors(task));
    on("undo", () => this.undo());
    on("redo", () => this.redo());
    on("zoom-in", () => this.viewer.zoom(1.5));
    on("zoom-out", () => this.viewer.zoom(1 / 1.5));
    on("fit", () => this.viewer.fit());
    on("full", () => this.viewer.showFull());
    on("all", () => this.#choose(({ isDoubtful }) => !isDoubtful));
    on("none", () => this.#choose(() => false));
    on("margin", () => this.edits.setDilation(byId("margin").valueAsNumber), "change");
    on("remove", () => this.fill());
    on("cancel", () => this.cancel());
    on("fill-again", () => this.#fillAgain(byId("inpainter").value));
    on("change", () => this.show(0));
    on("accept", () => this.#accept());
    on("dismiss", () => this.#dismiss());
  }

  #choose(isOn) {
    const { all } = this.objects;
    this.edits.setObjects(Object.fromEntries(all.map((object) => [object.id, isOn(object)])));
  }

  /** The keys of this view. */
  get keys() {
    const key = (keys, shown, words, run, more = {}) => ({ keys, shown, words, run, ...more });
    const pan = (dx, dy) => () => this.viewer.pan(dx * PAN_PX, dy * PAN_PX);
    // Elsewhere, arrows scroll the page.
    const arrow = (name) => (document.activeElement === byId("marks") ? [name] : []);
    const canCopy = this.results.shown > 0 && String(getSelection()) === ""; // else the text is
    return [
      key(["v"], "V", "keySelect", () => this.toolbox.choose("select")),
      key(["b"], "B", "keyBrush", () => this.toolbox.choose("brush")),
      key(["e"], "E", "keyEraser", () => this.toolbox.choose("eraser")),
      key(["l"], "L", "keyLasso", () => this.toolbox.choose("lasso")),
      key(["["], "[ ]", "keySize", () => this.toolbox.changeSize(-1), { repeats: true }),
      key(["]"], "", "keySize", () => this.toolbox.changeSize(1), { repeats: true }),
      key(["Ctrl+z"], "Ctrl+Z", "keyUndo", () => this.undo(), { repeats: true }),
      key(["Ctrl+Shift+z", "Ctrl+y"], "Ctrl+Shift+Z", "keyRedo", () => this.redo(), { repeats: true }),
      key(["Enter"], "Enter", "keyRemove", () => this.results.shown === 0 && this.fill()),
      key(["Escape"], "Esc", "keyEscape", () => this.cancel()),
      key([" "], "Space", "keySpace", () => this.hold(true), { release: () => this.hold(false) }),
      key(["c"], "C", "keyCompare", () => this.results.toggleCompare()),
      key(["+", "="], "+ −", "keyZoom", () => this.viewer.zoom(1.25), { repeats: true }),
      key(["-"], "", "keyZoom", () => this.viewer.zoom(0.8), { repeats: true }),
      key(["0"], "0 1", "keyFit", () => this.viewer.fit()),
      key(["1"], "", "keyFit", () => this.viewer.showFull()),
      key(arrow("ArrowLeft"), "← → ↑ ↓", "keyPan", pan(1, 0), { repeats: true }),
      key(arrow("ArrowRight"), "", "keyPan", pan(-1, 0), { repeats: true }),
      key(arrow("ArrowUp"), "", "keyPan", pan(0, 1), { repeats: true }),
      key(arrow("ArrowDown"), "", "keyPan", pan(0, -1), { repeats: true }),
      key(["Ctrl+s"], "Ctrl+S", "keySave", () => byId("download").hidden || byId("download").click()),
      key(canCopy ? ["Ctrl+c"] : [], "Ctrl+C", "keyCopy", catchErrors(() => this.copy())),
    ];
  }
}

const hitContext = document.createElement("canvas").getContext("2d");

// A reloaded page goes on where it was.

function rememberEdits(id, edits) {
  try {
    sessionStorage.setItem(`edits ${id}`, JSON.stringify(edits));
  } catch {
    // more strokes than the browser keeps: a reload forgets them
  }
}

function rememberedEdits(id) {
  return JSON.parse(sessionStorage.getItem(`edits ${id}`)) ?? undefined;
}
