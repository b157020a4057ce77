// Draws what goes over the photo: objects in one colour, shadows and reflections hatched in another.

const OBJECT = "#e5235b";
const EFFECT = "#f5a300";
const HATCH_PX = 7;

let hatch = null; // made once
let layer = null; // as large as the canvas, reused

/** Return polygons [[x0, y0, x1, y1, ...], ...] as one path; fill it with "evenodd". */
export function pathOf(polygons) {
  const path = new Path2D();
  for (const polygon of polygons) {
    path.moveTo(polygon[0], polygon[1]);
    for (let at = 2; at < polygon.length; at += 2) path.lineTo(polygon[at], polygon[at + 1]);
    path.closePath();
  }
  return path;
}

/**
 * Draw objects and strokes.
 * objects: [{path, effectsPath, isOn, areEffectsOn, isHovered}]; strokes and dilationPx: as in EDITS, px.
 */
export function drawMarks(context, scale, { objects, strokes, dilationPx }) {
  const shown = objects.filter((object) => object.isOn);
  const effects = shown.filter((object) => object.areEffectsOn && object.effectsPath);
  const erasing = strokes.filter((stroke) => stroke.tool === "eraser" || stroke.tool === "lasso-erase");
  tint(context, (on) => {
    for (const object of effects) fillGrown(on, object.effectsPath, dilationPx);
    on.globalCompositeOperation = "destination-out";
    for (const object of shown) on.fill(object.path, "evenodd");
    for (const stroke of erasing) drawStroke(on, stroke);
  }, hatchOf(context));
  tint(context, (on) => {
    for (const object of shown) fillGrown(on, object.path, dilationPx);
    for (const stroke of strokes) {
      on.globalCompositeOperation = erasing.includes(stroke) ? "destination-out" : "source-over";
      drawStroke(on, stroke);
    }
  }, `${OBJECT}73`);
  context.lineJoin = "round";
  for (const object of effects) outline(context, object.effectsPath, EFFECT, 1.5 / scale, scale);
  for (const object of objects) {
    if (object.isDoubtful && !object.isOn && !object.isHovered) continue;
    context.setLineDash(object.isOn ? [] : [5 / scale, 4 / scale]);
    const width = (object.isHovered ? 3.5 : object.isOn ? 2 : 1.5) / scale;
    outline(context, object.path, object.isOn ? OBJECT : "#fff", width, scale);
  }
  context.setLineDash([]);
}

function outline(context, path, color, width, scale) {
  context.strokeStyle = "#0008";
  context.lineWidth = width + 1.5 / scale;
  context.stroke(path);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke(path);
}

/** Draw shapes on a layer of their own, and lay it over the canvas in one colour or pattern. */
function tint(context, drawShapes, fillStyle) {
  const { width, height } = context.canvas;
  if (width === 0 || height === 0) return;
  layer ??= document.createElement("canvas");
  if (layer.width !== width || layer.height !== height) Object.assign(layer, { width, height });
  const on = layer.getContext("2d");
  on.save();
  on.clearRect(0, 0, width, height);
  on.setTransform(context.getTransform());
  drawShapes(on);
  on.setTransform(1, 0, 0, 1, 0, 0);
  on.globalCompositeOperation = "source-in";
  on.fillStyle = fillStyle;
  on.fillRect(0, 0, width, height);
  on.restore();
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(layer, 0, 0);
  context.restore();
}

function fillGrown(on, path, dilationPx) {
  on.fill(path, "evenodd");
  if (dilationPx === 0) return;
  on.save();
  if (dilationPx < 0) on.globalCompositeOperation = "destination-out";
  on.lineJoin = "round";
  on.lineWidth = 2 * Math.abs(dilationPx);
  on.stroke(path);
  on.restore();
}

function drawStroke(on, { tool, size, points }) {
  on.beginPath();
  for (const [x, y] of points) on.lineTo(x, y);
  if (tool.startsWith("lasso")) {
    on.fill("evenodd");
    return;
  }
  if (points.length === 1) on.lineTo(points[0][0] + 0.01, points[0][1]);
  on.lineCap = "round";
  on.lineJoin = "round";
  on.lineWidth = size;
  on.stroke();
}

function hatchOf(context) {
  if (hatch) return hatch;
  const side = HATCH_PX * Math.ceil(devicePixelRatio);
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const on = canvas.getContext("2d");
  on.fillStyle = `${EFFECT}40`;
  on.fillRect(0, 0, side, side);
  on.strokeStyle = `${EFFECT}d0`;
  on.lineWidth = 1.5 * devicePixelRatio;
  for (const shift of [-side, 0, side]) {
    on.moveTo(shift, side);
    on.lineTo(shift + side, 0);
  }
  on.stroke();
  hatch = context.createPattern(canvas, "repeat");
  return hatch;
}
