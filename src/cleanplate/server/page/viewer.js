// Shows a picture that may be far larger than the screen: a preview, and tiles where it is enlarged.
// Zoom and pan with wheel, keys, one finger or two; a border between two pictures to compare them.

const MOST_IMAGES = 64; // decoded tiles and previews that are kept
const CLICK_PX = 6; // a pointer that moved less has clicked
const LARGEST = 8; // screen pixels of one pixel of the photo

/**
 * What it shows is a source: {width, height, previewWidth, tile, levels, preview(n), tileUrl(n, level,
 * column, row)}, where n names one of several pictures of the same size.
 * Coordinates are px of the photo; its first pixel's centre is (0.5, 0.5).
 */
export class Viewer {
  source = null;
  shown = 0;
  compared = null; // the picture left of the border; null: no border
  border = 0.5; // as a share of the width
  held = null; // shown instead, while a key is held
  tool = null; // {cursorPx, down, move, up, cancel}; null: drags move the photo
  canPanNow = () => false; // whether drags move the photo whatever the tool
  onClick = () => {};
  onHover = () => {};
  onBorder = () => {};
  drawMarks = () => {};

  #stage;
  #picture;
  #marks;
  #images = new Map();
  #scale = 1; // CSS px per px of the photo
  #x = 0; // of the photo's corner, in CSS px
  #y = 0;
  #isFitted = true;
  #pointers = new Map();
  #gesture = null;
  #cursor = null;
  #isScheduled = false;

  constructor(stage, picture, marks) {
    this.#stage = stage;
    this.#picture = picture;
    this.#marks = marks;
    new ResizeObserver(() => this.#resize()).observe(stage);
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    marks.addEventListener("pointerdown", (event) => this.#down(event));
    marks.addEventListener("pointermove", (event) => this.#move(event));
    marks.addEventListener("pointerup", (event) => this.#up(event));
    marks.addEventListener("pointercancel", (event) => this.#cancel(event));
    marks.addEventListener("pointerleave", () => this.#leave());
  }

  /** Show another photo, as large as fits. */
  open(source) {
    this.source = source;
    this.#images.clear();
    this.shown = 0;
    this.compared = null;
    this.fit();
  }

  get scale() {
    return this.#scale;
  }

  fit() {
    const { width, height } = this.#size();
    if (!this.source || width === 0) return;
    const edge = Math.min(24, width * 0.02);
    const most = 1 / devicePixelRatio;
    const fitting = Math.min(
      (width - 2 * edge) / this.source.width,
      (height - 2 * edge) / this.source.height,
    );
    this.#scale = Math.min(fitting, Math.max(most, 4 * most * (this.source.width < 400)));
    this.#x = (width - this.source.width * this.#scale) / 2;
    this.#y = (height - this.source.height * this.#scale) / 2;
    this.#isFitted = true;
    this.draw();
  }

  /** Show each pixel of the photo as one of the screen. */
  showFull() {
    this.zoom(1 / devicePixelRatio / this.#scale);
  }

  zoom(factor, center) {
    if (!this.source) return;
    const { width, height } = this.#size();
    const [cx, cy] = center ?? [width / 2, height / 2];
    const least = Math.min(
      width / this.source.width / 2, height / this.source.height / 2, 1 / devicePixelRatio,
    );
    const scale = Math.min(LARGEST / devicePixelRatio, Math.max(least, this.#scale * factor));
    const ratio = scale / this.#scale;
    this.#x = cx - (cx - this.#x) * ratio;
    this.#y = cy - (cy - this.#y) * ratio;
    this.#scale = scale;
    this.#isFitted = false;
    this.pan(0, 0);
  }

  pan(dx, dy) {
    if (!this.source) return;
    const { width, height } = this.#size();
    const keep = 48; // px of the photo that stay on the stage
    const within = (value, size, stage) =>
      Math.min(stage - keep, Math.max(keep - size * this.#scale, value));
    this.#x = within(this.#x + dx, this.source.width, width);
    this.#y = within(this.#y + dy, this.source.height, height);
    this.#isFitted &&= dx === 0 && dy === 0;
    this.draw();
  }

  /** Draw soon, once for any number of calls. */
  draw() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#drawPicture();
      this.#drawMarks();
    });
  }

  /** Position on the stage, in CSS px, of the border between two pictures. */
  get borderX() {
    return this.#x + this.border * (this.source?.width ?? 0) * this.#scale;
  }

  #size() {
    return { width: this.#stage.clientWidth, height: this.#stage.clientHeight };
  }

  #resize() {
    const { width, height } = this.#size();
    for (const canvas of [this.#picture, this.#marks]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
    }
    if (this.#isFitted) this.fit();
    else this.pan(0, 0);
    this.#drawPicture(); // now: a canvas that was resized is empty
    this.#drawMarks();
  }

  // --- drawing

  #prepare(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const dpr = devicePixelRatio;
    const scale = this.#scale * dpr;
    context.setTransform(scale, 0, 0, scale, this.#x * dpr, this.#y * dpr);
    return context;
  }

  #drawPicture() {
    const context = this.#prepare(this.#picture);
    if (!this.source) return;
    const { width, height } = this.source;
    context.imageSmoothingEnabled = this.#scale * devicePixelRatio < 2;
    context.imageSmoothingQuality = "high";
    const after = this.held ?? this.shown;
    if (this.compared === null || this.held !== null) {
      this.#paint(context, after, 0, width);
    } else {
      const x = this.border * width;
      this.#paint(context, this.compared, 0, x);
      this.#paint(context, after, x, width);
      context.fillStyle = "#fff";
      context.shadowColor = "#000a";
      context.shadowBlur = 4 * devicePixelRatio;
      const line = 2 / this.#scale;
      context.fillRect(x - line / 2, 0, line, height);
      context.beginPath();
      context.arc(x, height / 2, 7 * line, 0, 2 * Math.PI);
      context.fill();
      context.shadowBlur = 0;
    }
  }

  /** Draw the columns from `left` to `right` of a picture. */
  #paint(context, n, left, right) {
    const { width, height, previewWidth, tile, levels } = this.source;
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, height);
    context.clip();
    const preview = this.#image(this.source.preview(n)) ?? this.#image(this.source.preview(0));
    if (preview) context.drawImage(preview, 0, 0, width, height);
    const scale = this.#scale * devicePixelRatio;
    if (levels && scale > (1.1 * previewWidth) / width) {
      const level = Math.max(0, Math.min(levels - 1, Math.floor(Math.log2(1 / scale) + 0.25)));
      const side = tile * 2 ** level;
      const [x0, y0, x1, y1] = this.#visible();
      const from = (value) => Math.max(0, Math.floor(value / side));
      for (let row = from(y0); row * side < Math.min(y1, height); row += 1) {
        for (let column = from(Math.max(x0, left)); column * side < Math.min(x1, right); column += 1) {
          const image = this.#image(this.source.tileUrl(n, level, column, row));
          if (!image) continue;
          const x = column * side;
          const y = row * side;
          context.drawImage(image, x, y, Math.min(side, width - x), Math.min(side, height - y));
        }
      }
    }
    context.restore();
  }

  /** The part of the photo that is on the stage: left, top, right, bottom. */
  #visible() {
    const { width, height } = this.#size();
    return [
      -this.#x / this.#scale,
      -this.#y / this.#scale,
      (width - this.#x) / this.#scale,
      (height - this.#y) / this.#scale,
    ];
  }

  /** Return a picture if it is loaded; otherwise load it, and draw again when it has come. */
  #image(url) {
    let image = this.#images.get(url);
    this.#images.delete(url); // the last used come last
    if (!image) {
      image = new Image();
      image.src = url;
      image.decode().then(() => this.draw(), () => {});
    }
    this.#images.set(url, image);
    if (this.#images.size > MOST_IMAGES) this.#images.delete(this.#images.keys().next().value);
    return image.complete && image.naturalWidth > 0 ? image : null;
  }

  #drawMarks() {
    const context = this.#prepare(this.#marks);
    if (!this.source) return;
    this.drawMarks(context, this.#scale);
    if (this.tool?.cursorPx && this.#cursor && !this.canPanNow()) {
      context.lineWidth = 1.5 / this.#scale;
      for (const [color, grow] of [["#000", 0.75], ["#fff", -0.75]]) {
        context.beginPath();
        const radius = this.tool.cursorPx / 2 + grow / this.#scale;
        context.arc(...this.#cursor, Math.max(radius, 1 / this.#scale), 0, 2 * Math.PI);
        context.strokeStyle = color;
        context.stroke();
      }
    }
  }

  // --- pointers

  #toPhoto(event) {
    const box = this.#stage.getBoundingClientRect();
    return [
      (event.clientX - box.left - this.#x) / this.#scale,
      (event.clientY - box.top - this.#y) / this.#scale,
    ];
  }

  #onStage(event) {
    const box = this.#stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #wheel(event) {
    if (!this.source) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), this.#onStage(event));
  }

  #down(event) {
    if (!this.source || event.button > 1) return;
    this.#marks.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#onStage(event));
    if (this.#pointers.size === 2) {
      if (this.#gesture?.kind === "draw") this.tool.cancel();
      this.#gesture = { kind: "pinch" };
    } else if (this.#pointers.size === 1) {
      const [x] = this.#onStage(event);
      const isNearBorder = this.compared !== null && Math.abs(x - this.borderX) < 24;
      const mustPan = event.button === 1 || this.canPanNow() || !this.tool;
      if (isNearBorder && !this.canPanNow()) this.#gesture = { kind: "border" };
      else if (mustPan) this.#gesture = { kind: "pan", moved: 0, isClick: event.button === 0 };
      else {
        this.#gesture = { kind: "draw" };
        this.tool.down(this.#toPhoto(event), event);
      }
    }
    this.#stage.classList.toggle("moving", this.#gesture?.kind === "pan");
    this.draw();
  }

  #move(event) {
    if (!this.source) return;
    const before = this.#pointers.get(event.pointerId);
    const now = this.#onStage(event);
    this.#cursor = event.pointerType === "touch" && !before ? null : this.#toPhoto(event);
    if (!before) {
      if (this.tool) this.draw();
      else this.onHover(this.#cursor);
      return;
    }
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    if (this.#gesture?.kind === "pinch") this.#pinch(event.pointerId, now);
    this.#pointers.set(event.pointerId, now);
    if (this.#gesture?.kind === "border") this.#moveBorder(now[0]);
    if (this.#gesture?.kind === "pan") {
      this.#gesture.moved += Math.abs(dx) + Math.abs(dy);
      if (this.#gesture.moved > CLICK_PX) this.pan(dx, dy);
    }
    if (this.#gesture?.kind === "draw") {
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.tool.move(this.#toPhoto(part));
      this.draw();
    }
  }

  #moveBorder(x) {
    const share = (x - this.#x) / (this.source.width * this.#scale);
    this.border = Math.min(1, Math.max(0, share));
    this.onBorder(this.border);
    this.draw();
  }

  #pinch(id, now) {
    const other = [...this.#pointers].find(([key]) => key !== id)?.[1];
    const before = this.#pointers.get(id);
    if (!other) return;
    const distance = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
    const center = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    this.zoom(distance(now) / distance(before), center);
  }

  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    const gesture = this.#gesture;
    if (this.#pointers.size === 0) this.#gesture = null;
    if (gesture?.kind === "draw") this.tool.up();
    if (gesture?.kind === "pan" && gesture.isClick && gesture.moved <= CLICK_PX && !this.tool) {
      this.onClick(this.#toPhoto(event));
    }
    this.#stage.classList.remove("moving");
    this.draw();
  }

  #cancel(event) {
    this.#pointers.delete(event.pointerId);
    if (this.#gesture?.kind === "draw") this.tool.cancel();
    if (this.#pointers.size === 0) this.#gesture = null;
    this.draw();
  }

  #leave() {
    this.#cursor = null;
    this.onHover(null);
    this.draw();
  }
}
