// Drawing on the photo: each drag becomes one stroke of the EDITS document.

const CLOSE = 0.7; // screen px: points nearer than this to the last one are left out

/**
 * begin(event) returns a stroke without points; done(stroke) takes the drawn one;
 * size() is the width of the brush in px of the photo, 0 for none.
 */
export class StrokeTool {
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
