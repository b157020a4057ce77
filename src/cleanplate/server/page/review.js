// The review of one run: its photos, before and after, accepted or rejected by a person.

import * as api from "./api.js";
import { byId, catchErrors, delayed, el, say } from "./dom.js";
import { VirtualList } from "./list.js";
import { factsOf } from "./runs.js";
import { number, t } from "./strings.js";
import { Viewer } from "./viewer.js";

const ROW_PX = 76; // as in style.css
const REST_MS = 60; // before the pictures of a row are loaded
const BEFORE = 0; // names of pictures in the viewer
const AFTER = 1;
const SHOW = { showAll: "", showNone: "review=none", showAccepted: "review=accepted",
  showRejected: "review=rejected", showCleaned: "state=cleaned", showRemaining: "remaining=true",
  showCopied: "state=copied", showFailed: "state=failed" };
const VERDICTS = { none: "reset", accepted: "accept", rejected: "reject" };

/** openPhoto(job, n) opens a photo of the run in the editor. */
export class Review {
  constructor(openPhoto) {
    this.openPhoto = openPhoto;
    this.job = null;
    this.row = null; // the current photo
    this.decisions = []; // rows as they were before, to undo
    this.stopListening = () => {};
    this.viewer = new Viewer(byId("review-stage"), byId("review-picture"), byId("review-marks"));
    this.list = new VirtualList(byId("list"), {
      rowPx: ROW_PX,
      load: (offset, limit) => this.#load(offset, limit),
      draw: (row) => drawRow(this.job.id, row),
      onChoose: catchErrors((row, index) => this.#show(row, index)),
    });
    byId("filter-show").replaceChildren(
      ...Object.entries(SHOW).map(([words, value]) => el("option", { value }, t(words))));
    byId("filters").addEventListener("input", delayed(catchErrors(() => this.list.reload()), 250));
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    const on = (id, task) => byId(id).addEventListener("click", catchErrors(task));
    on("approve", () => this.judge("accepted"));
    on("reject", () => this.judge("rejected"));
    on("side", () => this.toggleSide());
    on("edit", () => this.edit());
    on("run-stop", () => api.stopJob(this.job.id)); // an event tells when it has, maybe before this
    on("run-resume", async () => this.#tellJob(await api.resumeJob(this.job.id)));
    on("export", () => this.#askExport());
    byId("export-dialog").addEventListener("close", catchErrors(() => this.#export()));
  }

  async open(job) {
    this.close();
    this.job = job;
    this.decisions = [];
    const labels = job.labels.includes("all")
      ? (await api.readLabels()).labels.map(({ name }) => name) : job.labels;
    byId("filter-label").replaceChildren(el("option", { value: "" }, t("anyLabel")),
      ...labels.map((label) => el("option", { value: label }, label)));
    byId("filters").reset();
    this.#tellJob(job);
    this.stopListening = api.listenToJob(job.id, {
      progress: (now) => this.#tellJob(now),
      photo: (row) => this.#take(row),
    }, catchErrors(() => this.#takeMissed()));
    await this.list.reload();
    byId("list").focus({ preventScroll: true });
  }

  close() {
    this.stopListening();
  }

  /** Read the run again after something else was shown. */
  async refresh() {
    this.#tellJob(await api.readJob(this.job.id));
    if (this.row) {
      const row = await api.readRow(this.job.id, this.row.n);
      if (row.edited && row.etag !== this.row.etag) this.decisions.push(this.row);
      this.#take(row);
    }
    byId("list").focus({ preventScroll: true });
  }

  async #load(offset, limit) {
    const query = new URLSearchParams(byId("filter-show").value);
    const number = (id) => byId(id).valueAsNumber / 100;
    const wanted = { offset, limit, label: byId("filter-label").value,
      max_score: number("filter-score"), min_share: number("filter-area") };
    for (const [name, value] of Object.entries(wanted)) {
      if (value !== "" && !Number.isNaN(value)) query.set(name, value);
    }
    const found = await api.readPhotos(this.job.id, query);
    byId("list-count").textContent = t("listCount", { n: found.total });
    if (found.total === 0) this.#show(null, -1);
    return found;
  }

  #tellJob(job) {
    if (job.id !== this.job.id) return;
    this.job = job;
    const { done, total, rejected, edited } = job.counts;
    byId("run-name").textContent = job.folder || t("folderRoot");
    byId("run-facts").textContent = factsOf(job);
    byId("run-progress").max = total;
    byId("run-progress").value = done;
    const isRunning = ["queued", "running"].includes(job.state);
    byId("run-progress").hidden = !isRunning;
    byId("run-stop").hidden = !isRunning;
    byId("run-resume").hidden = !["cancelled", "failed"].includes(job.state);
    byId("export").disabled = isRunning || rejected + edited === 0;
  }

  /** Read the rows again: some may have changed while nobody listened. */
  async #takeMissed() {
    await this.list.refresh();
    const row = this.list.row(this.list.current);
    if (row) this.#take(row);
  }

  /** Take a row that has changed. */
  #take(row) {
    const index = this.list.update(row);
    if (row.n === this.row?.n) catchErrors(() => this.#show(row, index))();
  }

  async #show(row, index) {
    const isSame = isSamePicture(row, this.row);
    this.row = row;
    byId("review-facts").textContent = row ? [row.name, factsOfRow(row)].join(" · ") : "";
    byId("review-bar").hidden = row === null;
    byId("approve").setAttribute("aria-pressed", row?.review === "accepted");
    byId("reject").setAttribute("aria-pressed", row?.review === "rejected");
    byId("side").disabled = !row?.etag;
    if (isSame) return;
    if (!row) {
      this.viewer.open(null);
      byId("review-side").hidden = true;
      return;
    }
    await new Promise((done) => setTimeout(done, REST_MS));
    if (!isSamePicture(row, this.row)) return; // a key is held, and another one is chosen
    const urls = [pictureUrl(this.job.id, row, "before"), pictureUrl(this.job.id, row, "after")];
    const { naturalWidth, naturalHeight } = await load(urls[BEFORE]);
    if (!isSamePicture(row, this.row)) return; // another was chosen meanwhile
    this.viewer.open({
      width: row.width ?? naturalWidth,
      height: row.height ?? naturalHeight,
      previewWidth: naturalWidth,
      preview: (n) => urls[n],
    });
    byId("review-marks").setAttribute("aria-label", row.name);
    this.#setSide(row.etag ? AFTER : BEFORE);
    const next = this.list.row(index + 1);
    for (const side of next?.etag ? ["before", "after"] : []) { // so that they are there at once
      load(pictureUrl(this.job.id, next, side)).catch(() => {});
    }
  }

  #setSide(side) {
    this.viewer.shown = side;
    byId("review-side").hidden = false;
    byId("review-side").textContent = t(side === AFTER ? "after" : "before");
    this.viewer.draw();
  }

  toggleSide() {
    if (this.row?.etag) this.#setSide(this.viewer.shown === AFTER ? BEFORE : AFTER);
  }

  /** Note a decision, and go on to the next photo. */
  async judge(review) {
    const row = this.list.row(this.list.current);
    if (!row) return; // it is not here yet
    const moved = review === "none" ? null : this.list.choose(this.list.current + 1);
    this.decisions.push(row);
    this.#take(await api.judgePhoto(this.job.id, row.n, VERDICTS[review]));
    if (review !== "none") say(t(review === "accepted" ? "reviewAccepted" : "reviewRejected"));
    await moved;
  }

  async undo() {
    const before = this.decisions.pop();
    if (!before) return;
    const now = await api.readRow(this.job.id, before.n);
    if (now.edited && now.etag !== before.etag) await api.judgePhoto(this.job.id, before.n, "restore");
    const row = await api.judgePhoto(this.job.id, before.n, VERDICTS[before.review]);
    const index = this.list.update(row);
    say(t("undone"));
    if (index >= 0) await this.list.choose(index);
  }

  async edit() {
    if (this.row) await this.openPhoto(this.job, this.row.n);
  }

  #askExport() {
    byId("export-facts").textContent = t("exportFacts", this.job.counts);
    byId("export-dialog").returnValue = "";
    byId("export-dialog").showModal();
  }

  async #export() {
    const rejected = byId("export-dialog").returnValue;
    if (!rejected) return;
    say(t("exported", await api.exportJob(this.job.id, rejected)));
    this.decisions = [];
  }

  get keys() {
    return reviewKeys(this);
  }
}

/** Return the keys of a review; without one, to list them. */
export function reviewKeys(review = null) {
  const key = (keys, shown, words, run, repeats = false) => ({
    keys, shown, words, repeats, run: catchErrors(run),
  });
  const move = (steps) => () => review.list.choose(review.list.current + steps);
  return [
    key(["ArrowRight", "ArrowDown", "j"], "→ ↓ J", "keyNext", move(1), true),
    key(["ArrowLeft", "ArrowUp", "k"], "← ↑ K", "keyPrevious", move(-1), true),
    key(["PageDown"], "PgDn PgUp", "keyPage", move(10), true),
    key(["PageUp"], "", "keyPage", move(-10), true),
    key(["Home"], "Home End", "keyEnds", () => review.list.choose(0)),
    key(["End"], "", "keyEnds", () => review.list.choose(review.list.total - 1)),
    key(["a"], "A", "keyAccept", () => review.judge("accepted")),
    key(["r"], "R", "keyReject", () => review.judge("rejected")),
    key(["u"], "U", "keyReset", () => review.judge("none")),
    key(["Ctrl+z"], "Ctrl+Z", "keyUndoReview", () => review.undo()),
    key(["x"], "X", "keySide", () => review.toggleSide()),
    key(["f", "Enter"], "F Enter", "keyRefill", () => review.edit()),
    key(["+", "="], "+ −", "keyZoom", () => review.viewer.zoom(1.25), true),
    key(["-"], "", "keyZoom", () => review.viewer.zoom(0.8), true),
    key(["0"], "0 1", "keyFit", () => review.viewer.fit()),
    key(["1"], "", "keyFit", () => review.viewer.showFull()),
    { keys: [" "], shown: "Space", words: "keySpaceReview",
      run: () => holdBefore(review, true), release: () => holdBefore(review, false) },
  ];
}

function holdBefore({ viewer }, isHeld) {
  viewer.held = isHeld ? BEFORE : null;
  viewer.draw();
}

const isSamePicture = (a, b) => a?.n === b?.n && a?.etag === b?.etag;
const pictureUrl = (job, row, side) => api.jobPictureUrl(job, row, "preview", side);

async function load(url) {
  const image = new Image();
  image.src = url;
  await image.decode().catch(() => api.readPicture(url)); // which says why it is not there
  return image;
}

function drawRow(job, row) {
  const side = row.etag ? "after" : "before";
  const url = api.jobPictureUrl(job, row, "thumbnail", side);
  const mark = { accepted: "✓", rejected: "✕" }[row.review];
  return [
    el("img", { src: url, alt: "", decoding: "async" }),
    el("span", { class: "words" }, el("span", { class: "file" }, row.name),
      el("small", { class: row.status === "failed" ? "bad" : null }, factsOfRow(row))),
    mark ? el("span", { class: `mark ${row.review}`, "aria-hidden": "true" }, mark) : null,
  ].filter(Boolean);
}

function factsOfRow({ status, error, labels, max_score: score, share, remaining, edited, review }) {
  const counted = Object.entries(labels).map(([label, n]) => (n > 1 ? `${n} × ${label}` : label));
  return [
    { pending: t("rowPending"), copied: t("rowCopied"), skipped: t("rowSkipped"),
      failed: t("rowFailed", { error }) }[status],
    counted.join(", "),
    score === null ? "" : `${number(100 * score)} %`,
    share ? t("rowFilled", { share: number(100 * share) }) : "",
    remaining ? t("rowRemaining", { n: remaining }) : "",
    edited ? t("rowEdited") : "",
    { accepted: t("reviewAccepted"), rejected: t("reviewRejected") }[review],
  ].filter(Boolean).join(" · ");
}
