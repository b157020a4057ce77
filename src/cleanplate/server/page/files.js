// The files that a person drops, pastes or chooses: one or several, edited one after the other.

import { closeSession } from "./api.js";
import { byId, catchErrors } from "./dom.js";
import { t } from "./strings.js";

export class Files {
  #photos = []; // {file, id of its session once it was opened}
  #at = 0;

  /** show(open) shows the editor and opens a photo in it. */
  constructor(editor, show) {
    Object.assign(this, { editor, show });
    const choose = () => byId("file").click();
    byId("open").addEventListener("click", choose);
    byId("choose").addEventListener("click", choose);
    byId("previous").addEventListener("click", () => this.go(-1));
    byId("next").addEventListener("click", () => this.go(1));
    byId("file").addEventListener("change", () => {
      this.#give([...byId("file").files]);
      byId("file").value = "";
    });
    document.addEventListener("paste", (event) => this.#give([...event.clipboardData.files]));
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
      this.#give([...event.dataTransfer.files]);
    });
  }

  /** Go to the next or the previous photo. */
  go(steps) {
    if (this.#photos[this.#at + steps]) this.#open(this.#at + steps);
  }

  #give(files) {
    if (files.length === 0) return;
    for (const { id } of this.#photos) {
      if (id) closeSession(id).catch(() => {}); // it may have expired
    }
    this.#photos = files.map((file) => ({ file, id: null }));
    this.#open(0);
  }

  #open(at) {
    this.#at = at;
    const n = this.#photos.length;
    byId("photos").hidden = n < 2;
    byId("place").textContent = t("place", { at: at + 1, n });
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === n - 1;
    const photo = this.#photos[at];
    catchErrors(() => this.show(async () => {
      if (photo.id) await this.editor.openSession(photo.id);
      else photo.id = await this.editor.openFile(photo.file);
    }))();
  }
}
