// One photo: what goes from it, filling, and the results.

import * as api from "./api.js";
import { byId, clearError, el, guarded, say, sayError } from "./dom.js";
import { Edits } from "./edits.js";
import { drawMarks } from "./marks.js";
import { Objects, objectRows } from "./objects.js";
import { number, t } from "./strings.js";
import { StrokeTool } from "./tools.js";
import { Viewer } from "./viewer.js";

const PAN_PX = 60; // of an arrow key
const LEAST_SIZE = 4; // px of the brush; the most is a quarter of the photo

/** Edits the photo of one session at a time; `leave` is called when a photo of a run is done. */
export class PhotoEditor {
  constructor(info, leave) {
    this.info = info;
    this.leave = leave;
    this.session = null;
    this.edits = new Edits();
    this.objects = new Objects();
    this.shown = 0; // 0: what goes is chosen; n: a result
    this.job = null; // the run that the photo is from
    this.task = null; // an AbortController while the server works
    this.isHeld = false; // Space
    this.stopListening = () => {};
    this.viewer = new Viewer(byId("stage"), byId("picture"), byId("marks"));
    this.viewer.drawMarks = (context, scale) => this.#drawMarks(context, scale);
    this.viewer.canPanNow = () => this.isHeld;
    this.viewer.onClick = guarded((point) => this.#click(point));
    this.viewer.onHover = (point) => this.#hover(point);
    this.viewer.onBorder = (border) => {
      byId("border").value = Math.round(1000 * border);
    };
    this.#makeTools();
    this.#listen();
    this.chooseTool("select");
  }

  // --- opening

  /** Open a file that a person gave. */
  async openFile(file) {
    if (file.type && !file.type.startsWith("image/")) throw new Error(t("errorNotPhoto"));
    this.#stop();
    clearError();
    say(t("loading", { name: file.name }), { stays: true });
    const old = this.session;
    this.#open(await api.openPhoto(file).catch((error) => {
      say("");
      error.message = `${file.name}: ${error.message}`;
      throw error;
    }));
    if (old) api.closeSession(old.id).catch(() => {}); // it may have expired
    await this.find();
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

  // --- choosing what goes

  async #click(point) {
    if (!this.session || this.shown > 0 || this.task) return;
    const hit = this.objects.at(hitContext, point);
    if (hit?.isEffect) {
      this.edits.setEffects(hit.object.id, !this.objects.areEffectsOn(hit.object));
      say(t(this.objects.areEffectsOn(hit.object) ? "effectsOn" : "effectsOff"));
    } else if (hit) {
      const isOn = !this.objects.isOn(hit.object);
      this.edits.setObjects({ [hit.object.id]: isOn });
      say(t(isOn ? "selected" : "unselected", hit.object));
    } else if (this.info.prompter) {
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
    if (!this.session || this.shown > 0) return;
    const hit = point && this.objects.at(hitContext, point);
    byId("marks").classList.toggle("on-object", Boolean(hit));
    if (this.objects.hovered === (hit?.object.id ?? null)) return;
    this.objects.hovered = hit?.object.id ?? null;
    this.viewer.draw();
  }

  #drawMarks(context, scale) {
    if (this.shown > 0 || this.isHeld) return;
    const { strokes, grow } = this.edits.document;
    const drawn = this.viewer.tool?.stroke;
    drawMarks(context, scale, {
      objects: this.objects.marks,
      strokes: drawn ? [...strokes, drawn] : strokes,
      grow,
    });
  }

  #edited() {
    const { document: now, canUndo, canRedo } = this.edits;
    byId("undo").disabled = !canUndo;
    byId("redo").disabled = !canRedo;
    byId("grow").value = now.grow;
    byId("grow-value").textContent = now.grow
      ? t("marginValue", { n: (now.grow > 0 ? "+" : "−") + Math.abs(now.grow) })
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
    if (this.shown > 0) this.show(0);
  }

  // --- tools

  #makeTools() {
    const done = (stroke) => this.edits.addStroke(stroke);
    const size = () => this.brushPx;
    const brush = (tool) =>
      new StrokeTool(this.viewer, () => ({ tool, size: this.brushPx }), done, size);
    const lasso = (event) => ({ tool: event.altKey ? "lasso-erase" : "lasso" });
    this.tools = {
      select: null,
      brush: brush("brush"),
      eraser: brush("eraser"),
      lasso: new StrokeTool(this.viewer, lasso, done),
    };
  }

  /** Diameter of the brush in px of the photo; the slider is logarithmic. */
  get brushPx() {
    const { width = 1000, height = 1000 } = this.session ?? {};
    const most = Math.max(width, height) / 4;
    const share = byId("size").valueAsNumber / 100;
    return Math.round(LEAST_SIZE * (most / LEAST_SIZE) ** share);
  }

  chooseTool(name) {
    if (name !== "select") this.#toOriginal();
    this.viewer.tool = this.tools[name];
    for (const button of document.querySelectorAll("button[data-tool]")) {
      button.setAttribute("aria-pressed", button.dataset.tool === name);
    }
    byId("size-field").hidden = !["brush", "eraser"].includes(name);
    byId("marks").dataset.tool = name;
    this.viewer.draw();
  }

  changeSize(steps) {
    byId("size").valueAsNumber += 4 * steps;
    byId("size").setAttribute("aria-valuetext", t("sizeValue", { n: this.brushPx }));
    this.viewer.draw();
  }

  // --- filling

  /** Fill what was chosen, with the server's inpainter or another. */
  async fill(inpainter = null) {
    if (!this.session || this.task || byId("remove").disabled) return;
    await this.#work(t("stageMask"), async (signal) => {
      const wanted = { edits: this.edits.document, inpainter };
      const start = performance.now();
      const fill = await api.fill(this.session.id, wanted, signal);
      this.session.fills.push(fill);
      this.show(fill.n);
      say(t("filled", { s: number((performance.now() - start) / 1000) }));
    });
  }

  cancel() {
    if (this.task) this.#stop();
    else if (byId("marks").dataset.tool !== "select") this.chooseTool("select");
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
    this.#showProgress(words);
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

  #tellProgress({ stage, position, done, total }) {
    const key = { find: "stageFind", queued: "stageQueued", mask: "stageMask", fill: "stageFill",
      verify: "stageVerify", write: "stageWrite" }[stage];
    if (!this.task || !key || (stage === "queued" && !position)) return;
    this.#showProgress(t(key, { n: position }), total ? done / total : null);
  }

  #showProgress(words, share = null) {
    byId("progress-text").textContent = words;
    if (share === null) byId("progress").removeAttribute("value");
    else byId("progress").value = share;
  }

  // --- results

  /** Show the original, to choose what goes (0), or a result. */
  show(n) {
    this.shown = n;
    this.viewer.shown = n;
    if (n > 0) this.chooseTool("select");
    if (n === 0 || this.viewer.compared === n) this.#compare(null);
    const fill = this.session.fills.find((it) => it.n === n);
    byId("edit-panel").hidden = n > 0;
    byId("result-panel").hidden = n === 0;
    if (fill) {
      const labels = fill.remaining.map(({ label }) => label).join(", ");
      const share = number((100 * fill.changed_px) / this.session.width / this.session.height);
      byId("result-facts").textContent = [
        t("changed", { share }), labels && t("remains", { labels }), ...fill.notes,
      ].filter(Boolean).join(" · ");
    }
    this.#listResults();
    this.#updateActions();
    this.viewer.draw();
  }

  #listResults() {
    const { fills, id, levels } = this.session;
    byId("results").hidden = fills.length === 0;
    const choices = [{ n: 0 }, ...fills];
    const name = (n) => (n === 0 ? t("original") : t("result", { n }));
    const hadFocus = byId("result-list").contains(document.activeElement);
    byId("result-list").replaceChildren(...choices.map(({ n, inpainter }) =>
      el("label", { title: inpainter },
        el("input", { type: "radio", name: "result", value: n, checked: n === this.shown,
          onchange: () => this.show(n) }),
        el("img", { src: api.tileUrl(id, n, levels.length - 1, 0, 0), alt: "" }),
        el("span", {}, name(n), inpainter ? el("small", {}, inpainter) : null))));
    if (hadFocus) byId("result-list").querySelector(":checked").focus();
    const others = choices.filter(({ n }) => n !== this.shown);
    byId("compare-field").hidden = others.length < 2;
    byId("compare-with").replaceChildren(...others.map(({ n }) =>
      el("option", { value: n, selected: n === this.viewer.compared }, name(n))));
  }

  /** Draw a border between picture n, at its left, and the shown one; null: no border. */
  #compare(n) {
    this.viewer.compared = n;
    const isOn = n !== null;
    byId("compare").setAttribute("aria-pressed", isOn);
    for (const id of ["border", "before", "after"]) byId(id).hidden = !isOn;
    if (isOn) {
      byId("before").textContent = n === 0 ? t("original") : t("result", { n });
      byId("after").textContent = t("result", { n: this.shown });
    }
    this.viewer.draw();
  }

  toggleCompare() {
    if (this.shown === 0) return;
    this.#compare(this.viewer.compared === null ? Number(byId("compare-with").value) : null);
    this.#listResults();
  }

  #updateActions() {
    const isWorking = this.task !== null;
    const isResult = this.shown > 0;
    const mustAccept = Boolean(this.session?.accepts);
    const shown = {
      "progress-field": isWorking,
      remove: !isWorking && !isResult,
      download: !isWorking && isResult && !mustAccept,
      "download-mask": !isWorking && isResult && !mustAccept,
      accept: !isWorking && isResult && mustAccept,
      dismiss: !isWorking && mustAccept,
      change: !isWorking && isResult,
    };
    for (const [id, isShown] of Object.entries(shown)) byId(id).hidden = !isShown;
    byId("photo-view").classList.toggle("working", isWorking);
    byId("fill-again").disabled = isWorking;
    if (isResult) {
      byId("download").href = api.resultUrl(this.session.id, this.shown, "photo");
      byId("download-mask").href = api.resultUrl(this.session.id, this.shown, "mask");
    }
    if (mustAccept) byId("accept").textContent = t(this.job ? "saveToRun" : "accept");
  }

  async #accept() {
    await api.acceptFill(this.session.id, this.shown);
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

  // --- what people press

  hold(isHeld) {
    this.isHeld = isHeld;
    this.viewer.held = isHeld ? 0 : null;
    byId("stage").classList.toggle("held", isHeld);
    this.viewer.draw();
  }

  #listen() {
    const on = (id, task, event = "click") => byId(id).addEventListener(event, guarded(task));
    for (const button of document.querySelectorAll("button[data-tool]")) {
      button.addEventListener("click", () => this.chooseTool(button.dataset.tool));
    }
    on("undo", () => this.undo());
    on("redo", () => this.redo());
    on("zoom-in", () => this.viewer.zoom(1.5));
    on("zoom-out", () => this.viewer.zoom(1 / 1.5));
    on("fit", () => this.viewer.fit());
    on("full", () => this.viewer.showFull());
    on("size", () => this.changeSize(0), "input");
    on("all", () => this.#choose(({ isDoubtful }) => !isDoubtful));
    on("none", () => this.#choose(() => false));
    on("grow", () => this.edits.setGrow(byId("grow").valueAsNumber), "change");
    on("remove", () => this.fill());
    on("cancel", () => this.cancel());
    on("fill-again", () => this.fill(byId("inpainter").value));
    on("compare", () => this.toggleCompare());
    on("compare-with", () => this.#compare(Number(byId("compare-with").value)), "change");
    on("border", () => {
      this.viewer.border = byId("border").valueAsNumber / 1000;
      this.viewer.draw();
    }, "input");
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
    const keys = [
      key(["v"], "V", "keySelect", () => this.chooseTool("select")),
      key(["b"], "B", "keyBrush", () => this.chooseTool("brush")),
      key(["e"], "E", "keyEraser", () => this.chooseTool("eraser")),
      key(["l"], "L", "keyLasso", () => this.chooseTool("lasso")),
      key(["["], "[ ]", "keySize", () => this.changeSize(-1), { repeats: true }),
      key(["]"], "", "keySize", () => this.changeSize(1), { repeats: true }),
      key(["Ctrl+z"], "Ctrl+Z", "keyUndo", () => this.undo(), { repeats: true }),
      key(["Ctrl+Shift+z", "Ctrl+y"], "Ctrl+Shift+Z", "keyRedo", () => this.redo(), { repeats: true }),
      key(["Enter"], "Enter", "keyRemove", () => this.shown === 0 && this.fill()),
      key(["Escape"], "Esc", "keyEscape", () => this.cancel()),
      key([" "], "Space", "keySpace", () => this.hold(true), { release: () => this.hold(false) }),
      key(["c"], "C", "keyCompare", () => this.toggleCompare()),
      key(["+", "="], "+ −", "keyZoom", () => this.viewer.zoom(1.25), { repeats: true }),
      key(["-"], "", "keyZoom", () => this.viewer.zoom(0.8), { repeats: true }),
      key(["0"], "0 1", "keyFit", () => this.viewer.fit()),
      key(["1"], "", "keyFit", () => this.viewer.showFull()),
      key(["Ctrl+s"], "Ctrl+S", "keySave", () => byId("download").hidden || byId("download").click()),
    ];
    if (document.activeElement === byId("marks")) {
      keys.push(
        key(["ArrowLeft"], "", "", pan(1, 0), { repeats: true }),
        key(["ArrowRight"], "", "", pan(-1, 0), { repeats: true }),
        key(["ArrowUp"], "", "", pan(0, 1), { repeats: true }),
        key(["ArrowDown"], "", "", pan(0, -1), { repeats: true }),
      );
    }
    return keys;
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
