// The server's API: every request of the page is made here.

import { t } from "./strings.js";

/** An answer that is an error (RFC 9457); its message says what to do next. */
export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(method, path, { json, form, signal, blob = false } = {}) {
  const options = { method, signal, headers: {} };
  if (form) options.body = form;
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, t("errorOffline"));
  }
  if (answer.ok && blob) return answer.blob();
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  if (answer.status === 401) throw new Problem(401, t("errorSignIn"));
  const problem = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, problem.detail || answer.statusText);
}

const get = (path, signal) => request("GET", path, { signal });
const post = (path, json = {}, signal) => request("POST", path, { json, signal });

/**
 * Call back with the data of each named server-sent event, and when the stream opens, maybe again;
 * return a function that ends it.
 */
function listen(path, callbacks, onOpen = () => {}) {
  const source = new EventSource(path);
  source.addEventListener("open", onOpen);
  for (const [name, callback] of Object.entries(callbacks)) {
    source.addEventListener(name, (event) => callback(JSON.parse(event.data)));
  }
  return () => source.close();
}

export const readInfo = () => get("/v1/info");
export const readLabels = () => get("/v1/labels");
export const readModels = () => get("/v1/models");

const session = (id) => `/v1/sessions/${encodeURIComponent(id)}`;

export function openPhoto(file, signal) {
  const form = new FormData();
  form.append("image", file, file.name || "photo.png");
  return request("POST", "/v1/sessions", { form, signal });
}

export const openJobPhoto = (job, photo) => post("/v1/sessions/from-job", { job, photo });
export const readSession = (id) => get(session(id));
export const closeSession = (id) => request("DELETE", session(id));
export const findObjects = (id, signal) => post(`${session(id)}/find`, {}, signal);
export const outline = (id, points) => post(`${session(id)}/outline`, { points });
export const fill = (id, wanted, signal) => post(`${session(id)}/fill`, wanted, signal);
export const acceptFill = (id, n) => post(`${session(id)}/accept`, { n });
export const dismiss = (id) => post(`${session(id)}/cancel`);
export const listenToSession = (id, progress) => listen(`${session(id)}/events`, { progress });
export const previewUrl = (id, n) => `${session(id)}/preview/${n}`;
export const resultUrl = (id, n, kind) => `${session(id)}/result/${n}?kind=${kind}`;
export const readPicture = (url) => request("GET", url, { blob: true });
export const tileUrl = (id, n, level, column, row) =>
  `${session(id)}/tiles/${n}/${level}/${column}/${row}`;

const job = (id) => `/v1/jobs/${encodeURIComponent(id)}`;

export const readFolder = (path) => get(`/v1/folders?${new URLSearchParams({ path })}`);
export const readJobs = () => get("/v1/jobs");
export const readJob = (id) => get(job(id));
export const startJob = (folder, labels) => post("/v1/jobs", { folder, labels });
export const stopJob = (id) => post(`${job(id)}/cancel`);
export const resumeJob = (id) => post(`${job(id)}/resume`);
export const exportJob = (id, rejected) => post(`${job(id)}/export`, { rejected });
export const listenToJob = (id, callbacks, onOpen) =>
  listen(`${job(id)}/events`, callbacks, onOpen);
export const readPhotos = (id, query, signal) =>
  get(`${job(id)}/photos?${new URLSearchParams(query)}`, signal);
export const judgePhoto = (id, n, verdict) => post(`${job(id)}/photos/${n}/${verdict}`);
export const readRow = (id, n) => get(`${job(id)}/photos/${n}`);
export const jobPictureUrl = (id, { n, etag }, kind, side) =>
  `${job(id)}/photos/${n}/${kind}?${new URLSearchParams({ side, v: etag ?? "" })}`;
