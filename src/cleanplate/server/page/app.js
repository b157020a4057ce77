// Starts the page: files by drop, paste or choice, the two views, and the keys.

import * as api from "./api.js";
import { byId, clearError, el, fillWords, guarded } from "./dom.js";
import { listenToKeys, showKeys } from "./keys.js";
import { PhotoEditor } from "./photo.js";
import { reviewKeys } from "./review.js";
import { Runs } from "./runs.js";
import { t } from "./strings.js";

const common = [
  { keys: ["o"], shown: "O", words: "keyOpen", run: () => byId("file").click() },
  { keys: [], shown: "Ctrl+V", words: "keyPaste" },
  { keys: ["?"], shown: "?", words: "keyHelp", run: () => showAllKeys() },
];
let editor = null;
let runs = null; // the folder's view, made when it is needed
let showAllKeys = () => {};

function openFiles(files) {
  if (files.length > 0) guarded(() => showPhoto(() => editor.openFile(files[0])))();
}

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

function listenToFiles() {
  const choose = () => byId("file").click();
  byId("open").addEventListener("click", choose);
  byId("choose").addEventListener("click", choose);
  byId("file").addEventListener("change", () => {
    openFiles([...byId("file").files]);
    byId("file").value = "";
  });
  document.addEventListener("paste", (event) => openFiles([...event.clipboardData.files]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    openFiles([...event.dataTransfer.files]);
  });
}

async function listInpainters() {
  const { inpainters } = await api.readModels();
  const installed = inpainters.filter((model) => model.installed);
  byId("inpainter").replaceChildren(
    ...installed.map(({ name }) => el("option", { value: name }, name)),
  );
  byId("again-field").hidden = installed.length < 2;
}

async function start() {
  fillWords();
  byId("error-close").addEventListener("click", clearError);
  listenToFiles();
  const info = await api.readInfo();
  editor = new PhotoEditor(info, guarded(showFolder));
  const isFolder = () => !byId("folder-view").hidden;
  const currentKeys = () => [...(isFolder() ? runs.keys : editor.keys), ...common];
  showAllKeys = () =>
    showKeys([[t("keysPhoto"), [...editor.keys, ...common]],
      ...(info.jobs ? [[t("keysFolder"), reviewKeys()]] : [])]);
  byId("help").addEventListener("click", showAllKeys);
  listenToKeys(currentKeys);
  byId("views").hidden = !info.jobs;
  byId("view-photo").addEventListener("click", guarded(() => showPhoto()));
  byId("view-folder").addEventListener("click", guarded(showFolder));
  document.documentElement.dataset.ready = "yes";
  const id = new URLSearchParams(location.hash.slice(1)).get("session");
  if (id) {
    await editor.openSession(id).catch((error) => {
      if (error.status !== 404) throw error; // it was closed: start afresh
      history.replaceState(null, "", " ");
    });
  }
  await listInpainters();
}

guarded(start)();
