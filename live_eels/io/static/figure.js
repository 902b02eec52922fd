// A map as a figure to take away: title, scale bar, colour bar or legend, as PNG or SVG.
// Lives here: layout of the figure. Files and clipboard are in export.js.

import { REJECT_GREY, classColour, lut, short } from "./colour.js";
import { grid, paint } from "./pictures.js";
import { inNanometres, niceLength } from "./tile.js";
import { RGB } from "./wall.js";

const MAP_PX = 720;
const MARGIN = 16;
const SIDE = 190;
const FONT = "system-ui, 'Segoe UI', sans-serif";

/**
 * @typedef {object} Figure
 * @property {number} width
 * @property {number} height
 * @property {{x: number, y: number, w: number, h: number}} map
 * @property {string} picture  data URL of the map
 * @property {{x: number, y: number, text: string, size: number, weight: number, anchor: "start"|"middle"|"end", colour: string}[]} texts
 * @property {{x: number, y: number, w: number, h: number, colour: string}[]} boxes
 */

/** The map's own pixels, with everything that lies over them, on a light ground. @param {import("./wall.js").Wall} wall @param {string} name @param {number} w @param {number} h */
function picture(wall, name, w, h) {
  const canvas = document.createElement("canvas");
  canvas.width = w;
  canvas.height = h;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = pen.createImageData(w, h);
  const { colours } = wall.scene(name, true);
  const { nx, ny } = wall.model;
  if (colours) paint(new Uint32Array(image.data.buffer), grid(w, h, nx, ny, 0, 0, w / nx, h / ny, 1), colours, null, true);
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** @param {import("./wall.js").Wall} wall @param {string} name @returns {Figure} */
export function figure(wall, name) {
  const { model } = wall;
  const aspect = (model.ny / model.nx) * (model.ny > 1 ? wall.aspect() : 1);
  const w = aspect <= 1 ? MAP_PX : Math.round(MAP_PX / aspect);
  const h = model.ny === 1 ? 120 : Math.max(Math.round(w * aspect), 24);
  const map = { x: MARGIN, y: MARGIN + 44, w, h };
  /** @type {Figure} */
  const out = { width: w + SIDE + 2 * MARGIN, height: Math.max(h, 320) + 2 * MARGIN + 44 + 18, map, picture: picture(wall, name, w, h).toDataURL(), texts: [], boxes: [] };
  const spec = wall.spec(name);
  const text = (/** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ t, size = 14, weight = 400, anchor = /** @type {"start"|"middle"|"end"} */ ("start"), colour = "#14181d") => out.texts.push({ x, y, text: t, size, weight, anchor, colour });
  text(MARGIN, MARGIN + 16, `${wall.title(name)}${spec.meaning ? ` · ${spec.meaning}` : ""}`, 17, 650);
  text(MARGIN, MARGIN + 36, `${model.scan.title || "scan"} · ${model.scan.shape.join(" × ")} · ${model.scan.id}`, 12, 400, "start", "#4d5865");
  const axis = model.scan.navigation.at(-1);
  if (axis) {
    const step = inNanometres({ scale: axis.scale, units: axis.units || "px" });
    const bar = niceLength(step.scale, (0.3 * w) / (w / model.nx));
    const length = (bar.pixels * w) / model.nx;
    const [x, y] = [map.x + 12, map.y + h - 14];
    out.boxes.push({ x: x - 7, y: y - 22, w: length + 14, h: 32, colour: "rgba(0,0,0,0.7)" }, { x, y, w: length, h: 5, colour: "#ffffff" });
    text(x + length / 2, y - 6, `${bar.length} ${step.units}`, 14, 600, "middle", "#ffffff");
  }
  const side = map.x + w + 18;
  if (spec.kind === "label") legend(out, wall, name, side, text);
  else if (name !== RGB) colourBar(out, wall, name, side, text);
  else wall.view.now.rgb.forEach((n, i) => text(side, map.y + 16 + 22 * i, `${["red", "green", "blue"][i]}: ${wall.title(n)}`));
  return out;
}

/** @param {Figure} out @param {import("./wall.js").Wall} wall @param {string} name @param {number} side @param {Function} text */
function legend(out, wall, name, side, text) {
  const picture = wall.picture(name);
  if (!picture) return;
  const { counts, rejected, total } = picture.tally;
  const rows = picture.spec.classes.map((c, i) => /** @type {[string, string, number]} */ ([c, classColour(c, i), counts.get(i) ?? 0]));
  [...rows, /** @type {[string, string, number]} */ (["rejected", REJECT_GREY, rejected])].forEach(([label, colour, n], i) => {
    const y = out.map.y + 24 * i;
    out.boxes.push({ x: side, y, w: 16, h: 16, colour });
    text(side + 24, y + 13, label);
    text(side + SIDE - 24, y + 13, total ? `${((100 * n) / total).toFixed(1)} %` : "", 14, 400, "end", "#4d5865");
  });
}

/** @param {Figure} out @param {import("./wall.js").Wall} wall @param {string} name @param {number} side @param {Function} text */
function colourBar(out, wall, name, side, text) {
  const picture = wall.picture(name);
  if (!picture) return;
  const table = lut(picture.lutName(wall.view.now));
  const height = 256;
  for (let i = 0; i < 128; i++) {
    const c = table[255 - 2 * i];
    out.boxes.push({ x: side, y: out.map.y + (i * height) / 128, w: 18, h: height / 128 + 0.5, colour: `rgb(${c & 255},${(c >> 8) & 255},${(c >> 16) & 255})` });
  }
  const [low, high] = picture.limits;
  text(side + 26, out.map.y + 12, short(high));
  text(side + 26, out.map.y + height / 2 + 4, short((low + high) / 2));
  text(side + 26, out.map.y + height, short(low));
  text(side, out.map.y + height + 24, picture.spec.unit, 13, 400, "start", "#4d5865");
}

/** @param {Figure} f */
export function toSvg(f) {
  const escape = (/** @type {string} */ t) => t.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const boxes = (/** @type {Figure["boxes"]} */ list) => list.map((b) => `<rect x="${b.x}" y="${b.y}" width="${b.w}" height="${b.h}" fill="${b.colour}"/>`).join("");
  const texts = f.texts.map((t) => `<text x="${t.x}" y="${t.y}" font-size="${t.size}" font-weight="${t.weight}" text-anchor="${t.anchor}" fill="${t.colour}">${escape(t.text)}</text>`).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${f.width}" height="${f.height}" viewBox="0 0 ${f.width} ${f.height}" font-family="${FONT}"><rect width="100%" height="100%" fill="#ffffff"/><image x="${f.map.x}" y="${f.map.y}" width="${f.map.w}" height="${f.map.h}" href="${f.picture}" style="image-rendering:pixelated"/>${boxes(f.boxes)}${texts}</svg>`;
}

/** @param {Figure} f @returns {Promise<HTMLCanvasElement>} */
export async function toCanvas(f) {
  const canvas = document.createElement("canvas");
  canvas.width = f.width;
  canvas.height = f.height;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, f.width, f.height);
  const image = new Image();
  image.src = f.picture;
  await image.decode();
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, f.map.x, f.map.y, f.map.w, f.map.h);
  for (const b of f.boxes) {
    pen.fillStyle = b.colour;
    pen.fillRect(b.x, b.y, b.w, b.h);
  }
  for (const t of f.texts) {
    pen.font = `${t.weight} ${t.size}px ${FONT}`;
    pen.textAlign = t.anchor === "middle" ? "center" : t.anchor;
    pen.fillStyle = t.colour;
    pen.fillText(t.text, t.x, t.y, f.width - t.x - 4);
  }
  return canvas;
}
