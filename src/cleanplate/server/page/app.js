// Starts the page: its two views, and the keys.

import * as api from "./api.js";
import { byId, catchErrors, clearError, el, fillWords } from "./dom.js";
import { Files } from "./files.js";
import { listenToKeys, showKeys } from "./keys.js";
import { PhotoEditor } from "./photo.js";
import { reviewKeys } from "./review.js";
import { Runs } from "./runs.js";
import { t } from "./strings.js";

const editor = new PhotoEditor(catchErrors(showFolder));
const files = new Files(editor, showPhoto);
const common = [
  { keys: ["o"], shown: "O", words: "keyOpen", run: () => byId("file").click() },
  { keys: [], shown: "Ctrl+V", words: "keyPaste" },
  { keys: ["?"], shown: "?", words: "keyHelp", run: showAllKeys },
];
const several = [
  { keys: ["n"], shown: "N", words: "keyNext", run: () => files.go(1) },
  { keys: ["p"], shown: "P", words: "keyPrevious", run: () => files.go(-1) },
];
let runs = null; // the folder's view, made when it is needed

async function showPhoto(open = () => {}) {
  showView("photo");
  await open();
}

async function showFolder() {
  runs ??= new Runs((job, n) =>
    showPhoto(async () => {
      const { id } = await api.openJobPhoto(job.id, n);
      await editor.openSession(id, job);
    }));
  showView("folder");
  await runs.show();
}

function showView(name) {
  clearError();
  for (const view of ["photo", "folder"]) {
    byId(`${view}-view`).hidden = view !== name;
    byId(`view-${view}`).setAttribute("aria-pressed", view === name);
  }
  byId("name").hidden = name !== "photo";
}

/** List what can fill; `own` is what the server fills with. */
async function listInpainters(own) {
  const { inpainters } = await api.readModels();
  const installed = inpainters.filter((model) => model.installed).map(({ name }) => name);
  const names = new Set([...installed, own]);
  byId("inpainter").replaceChildren(
    ...[...names].map((name) => el("option", { value: name, selected: name === own }, name)),
  );
}

function showAllKeys() {
  const groups = [[t("keysPhoto"), [...editor.keys, ...several, ...common]]];
  if (!byId("views").hidden) groups.push([t("keysFolder"), reviewKeys()]);
  showKeys(groups);
}

/** Open the photo that the address names, such as one that was open before a reload. */
async function openNamed() {
  const id = new URLSearchParams(location.hash.slice(1)).get("session");
  if (!id) return;
  await editor.openSession(id).catch((error) => {
    if (error.status !== 404) throw error; // it was closed: start afresh
    history.replaceState(null, "", " ");
  });
}

async function start() {
  fillWords();
  byId("error-close").addEventListener("click", clearError);
  byId("help").addEventListener("click", showAllKeys);
  byId("skip").addEventListener("click", () => byId("panel").focus());
  byId("view-photo").addEventListener("click", catchErrors(() => showPhoto()));
  byId("view-folder").addEventListener("click", catchErrors(showFolder));
  listenToKeys(() => [
    ...(byId("folder-view").hidden ? [...editor.keys, ...several] : runs.keys), ...common,
  ]);
  const info = await api.readInfo();
  editor.canOutline = info.prompter !== null;
  byId("file").accept = ["image/*", ...info.suffixes].join();
  byId("views").hidden = !info.jobs;
  document.documentElement.dataset.ready = "yes";
  await openNamed();
  await listInpainters(info.inpainter);
}

catchErrors(start)();
