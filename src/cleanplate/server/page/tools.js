// Drawing on the photo: each drag becomes one stroke of the EDITS document.

import { byId } from "./dom.js";
import { t } from "./strings.js";

const LEAST_PX = 4; // of the brush
const CLOSE = 0.7; // screen px: points nearer than this to the last one are left out

/**
 * The tools and which one is chosen. drawn(stroke) takes each stroke, chosen(name) is called when
 * a tool is chosen.
 */
export class Toolbox {
  mostPx = 250; // of the brush

  constructor(viewer, { drawn, chosen }) {
    Object.assign(this, { viewer, chosen });
    const brush = (tool) =>
      new StrokeTool(viewer, () => ({ tool, size: this.sizePx }), drawn, () => this.sizePx);
    const lasso = ({ altKey }) => ({ tool: altKey ? "lasso-erase" : "lasso" });
    this.tools = {
      select: null,
      brush: brush("brush"),
      eraser: brush("eraser"),
      lasso: new StrokeTool(viewer, lasso, drawn),
    };
    for (const button of document.querySelectorAll("button[data-tool]")) {
      button.addEventListener("click", () => this.choose(button.dataset.tool));
    }
    byId("size").addEventListener("input", () => this.changeSize(0));
    this.choose("select");
  }

  /** Diameter of the brush in px of the photo; the slider is logarithmic. */
  get sizePx() {
    const share = byId("size").valueAsNumber / 100;
    return Math.round(LEAST_PX * (this.mostPx / LEAST_PX) ** share);
  }

  choose(name) {
    this.viewer.tool = this.tools[name];
    for (const button of document.querySelectorAll("button[data-tool]")) {
      button.setAttribute("aria-pressed", button.dataset.tool === name);
    }
    byId("size-field").hidden = !["brush", "eraser"].includes(name);
    byId("marks").dataset.tool = name;
    this.chosen(name);
    this.viewer.draw();
  }

  changeSize(steps) {
    byId("size").valueAsNumber += 4 * steps;
    byId("size").setAttribute("aria-valuetext", t("sizeValue", { n: this.sizePx }));
    this.viewer.draw();
  }
}

/**
 * begin(event) returns a stroke without points; done(stroke) takes the drawn one;
 * size() is the width of the brush in px of the photo, 0 for none.
 */
class StrokeTool {
  stroke = null; // being drawn

  constructor(viewer, begin, done, size = () => 0) {
    Object.assign(this, { viewer, begin, done, size });
  }

  get cursorPx() {
    return this.size();
  }

  down(point, event) {
    this.stroke = { ...this.begin(event), points: [rounded(point)] };
  }

  move(point) {
    const { points } = this.stroke;
    const [x, y] = points[points.length - 1];
    const moved = Math.hypot(point[0] - x, point[1] - y) * this.viewer.scale;
    if (moved > CLOSE) points.push(rounded(point));
  }

  up() {
    const { stroke } = this;
    this.stroke = null;
    const isLine = stroke?.tool.startsWith("lasso");
    if (stroke && (!isLine || stroke.points.length >= 3)) this.done(stroke);
  }

  cancel() {
    this.stroke = null;
  }
}

function rounded(point) {
  return point.map((value) => Math.round(value * 10) / 10);
}
