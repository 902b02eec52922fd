// The box under "colours": look-up table, contrast, log, limits, RGB of three maps.
// Lives here: the form. Nothing in it asks the server.

import { LUT_NAMES, defaultLut } from "./colour.js";
import { make } from "./panels.js";
import { RATIO, RGB } from "./wall.js";

/** @param {string} label @param {HTMLElement} input */
function field(label, input) {
  const row = document.createElement("label");
  input.setAttribute("aria-label", label);
  row.append(make("span", "", label), input);
  return row;
}

/** @param {string[]} options @param {string} value @param {(v: string) => void} act */
function select(options, value, act) {
  const element = document.createElement("select");
  element.append(...options.map((o) => Object.assign(document.createElement("option"), { value: o, textContent: o || "–" })));
  element.value = value;
  element.addEventListener("change", () => act(element.value));
  return element;
}

/** @param {HTMLElement} box @param {import("./view.js").View} view @param {import("./wall.js").Wall} wall @param {() => void} again */
export function colourMenu(box, view, wall, again) {
  const name = wall.current();
  const picture = wall.picture(name);
  const { now } = view;
  const rows = [make("b", "", wall.title(name))];
  if (picture && picture.spec.kind !== "label") {
    rows.push(field("colour map", select(LUT_NAMES, now.luts[name] ?? defaultLut(picture.spec), (v) => view.set({ luts: { ...now.luts, [name]: v } }))));
    const cut = number(now.percentile, 0, 20, 0.5, (v) => view.set({ percentile: v }));
    rows.push(field("cut, % at each end", cut));
    const log = check(now.logs.includes(name), (on) => view.set({ logs: on ? [...now.logs, name] : now.logs.filter((n) => n !== name) }));
    rows.push(field("logarithmic", log));
    const locked = now.locked[name];
    const lock = check(!!locked, (on) => {
      const { [name]: _, ...others } = view.now.locked;
      view.set({ locked: on ? { ...others, [name]: [...picture.limits] } : others });
      again();
    });
    rows.push(field("lock limits", lock));
    if (locked) {
      const set = (/** @type {number} */ i) => (/** @type {number} */ v) => {
        const limits = /** @type {[number, number]} */ ([...(view.now.locked[name] ?? picture.limits)]);
        limits[i] = v;
        view.set({ locked: { ...view.now.locked, [name]: limits } });
      };
      rows.push(field("from", number(locked[0], -1e12, 1e12, "any", set(0))), field("to", number(locked[1], -1e12, 1e12, "any", set(1))));
    }
  }
  rows.push(make("b", "", "RGB of three maps"));
  const maps = wall.names().filter((n) => n !== RGB && n !== RATIO && wall.spec(n).kind !== "label");
  const rgb = [0, 1, 2].map((i) => now.rgb[i] ?? "");
  ["red", "green", "blue"].forEach((colour, i) => {
    rows.push(field(colour, select(["", ...maps], rgb[i], (v) => {
      rgb[i] = v;
      if (rgb.every(Boolean)) view.set({ rgb: [...rgb], map: RGB });
      else if (view.now.rgb.length) view.set({ rgb: [] });
    })));
  });
  rows.push(make("b", "", "Ratio of two maps"));
  const ratio = [0, 1].map((i) => now.ratio[i] ?? "");
  ["ratio of", "over"].forEach((label, i) => {
    rows.push(field(label, select(["", ...maps], ratio[i], (v) => {
      ratio[i] = v;
      if (ratio.every(Boolean)) view.set({ ratio: [...ratio], map: RATIO });
      else if (view.now.ratio.length) view.set({ ratio: [] });
    })));
  });
  box.replaceChildren(...rows);
}

/** @param {number} value @param {number} min @param {number} max @param {number|string} step @param {(v: number) => void} act */
function number(value, min, max, step, act) {
  const input = document.createElement("input");
  Object.assign(input, { type: "number", min, max, step, value: String(parseFloat(value.toPrecision(5))) });
  input.style.width = "100px";
  input.addEventListener("change", () => {
    const v = Number(input.value);
    if (Number.isFinite(v)) act(v);
  });
  return input;
}

/** @param {boolean} on @param {(on: boolean) => void} act */
function check(on, act) {
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = on;
  input.addEventListener("change", () => act(input.checked));
  return input;
}
