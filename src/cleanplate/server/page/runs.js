// Folders and runs: choose a folder, start, and see what is running.

import * as api from "./api.js";
import { byId, catchErrors, el, keepFocus } from "./dom.js";
import { Review } from "./review.js";
import { t } from "./strings.js";

const POLL_MS = 2000; // while the list of runs is shown

export class Runs {
  constructor(openPhoto) {
    this.path = "";
    this.review = new Review(openPhoto);
    this.isInRun = false;
    byId("folder-up").addEventListener("click", catchErrors(() =>
      this.#goTo(this.path.split("/").slice(0, -1).join("/"))));
    byId("start").addEventListener("submit", catchErrors(async (event) => {
      event.preventDefault();
      const labels = byId("labels").value.split(",").map((word) => word.trim()).filter(Boolean);
      await this.#openRun(await api.startJob(this.path, labels));
    }));
    byId("all-runs").addEventListener("click", catchErrors(() => {
      this.review.close();
      this.isInRun = false;
      return this.show();
    }));
    setInterval(catchErrors(() => this.#poll()), POLL_MS);
  }

  get keys() {
    return this.isInRun ? this.review.keys : [];
  }

  /** Show the folders and runs, or the run that was open. */
  async show() {
    byId("runs-view").hidden = this.isInRun;
    byId("run-view").hidden = !this.isInRun;
    if (this.isInRun) {
      await this.review.refresh();
      return;
    }
    await Promise.all([this.#goTo(this.path), this.#listRuns(), listLabels()]);
  }

  async #goTo(path) {
    const start = byId("start").querySelector("button");
    start.disabled = true; // also for Enter: the folder is not the one that is shown
    const folder = await api.readFolder(path).finally(() => {
      start.disabled = false;
    });
    this.path = folder.path;
    byId("folder-up").hidden = folder.path === "";
    byId("folder-path").textContent =
      `${folder.path || t("folderRoot")} · ${t("folderPhotos", { n: folder.photos })}`;
    byId("folders").replaceChildren(...folder.folders.map(({ name, photos }) =>
      el("li", {}, el("button",
        { onclick: catchErrors(() => this.#goTo(folder.path ? `${folder.path}/${name}` : name)) },
        el("span", {}, name), el("small", {}, t("folderPhotos", { n: photos }))))));
    keepFocus(byId("folders").querySelector("button") ?? byId("labels"));
  }

  async #openRun(job) {
    this.isInRun = true;
    byId("runs-view").hidden = true;
    byId("run-view").hidden = false;
    await this.review.open(job);
  }

  async #poll() {
    if (!byId("runs-view").hidden && !byId("folder-view").hidden && !document.hidden) {
      await this.#listRuns();
    }
  }

  async #listRuns() {
    const jobs = await api.readJobs();
    byId("runs-none").hidden = jobs.length > 0;
    const hadFocus = byId("runs").contains(document.activeElement)
      && document.activeElement.dataset.job;
    byId("runs").replaceChildren(...jobs.map((job) =>
      el("li", {}, el("button", { "data-job": job.id, onclick: catchErrors(() => this.#openRun(job)) },
        el("span", {}, job.folder || t("folderRoot")), el("small", {}, factsOf(job))))));
    if (hadFocus) byId("runs").querySelector(`[data-job="${CSS.escape(hadFocus)}"]`)?.focus();
  }
}

async function listLabels() {
  const { labels } = await api.readLabels();
  byId("known-labels").replaceChildren(...labels.map(({ name }) => el("option", { value: name })));
}

/** Return what is said about a run beside its name. */
export function factsOf({ labels, state, error, counts, eta_s: left }) {
  const words = { queued: "runQueued", running: "runRunning", done: "runDone",
    cancelled: "runCancelled" }[state];
  return [
    t("runFacts", { labels: labels.join(", "), ...counts }),
    counts.failed ? t("runFailed", counts) : "",
    words ? t(words) : error,
    left ? t("runLeft", { time: duration(left) }) : "",
  ].filter(Boolean).join(" · ");
}

function duration(seconds) {
  if (seconds < 90) return t("seconds", { n: seconds });
  if (seconds < 5400) return t("minutes", { n: Math.round(seconds / 60) });
  return t("hours", { n: Math.round(seconds / 3600) });
}
