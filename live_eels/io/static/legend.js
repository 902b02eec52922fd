// The legend: classes with pixels, shares and confidence; reject and opacity sliders.
// Lives here: one table, kept rather than rebuilt, so that focus and hover stay.

import { REJECT_GREY, classColour, short } from "./colour.js";
import { grouped } from "./status.js";

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Legend {
  /**
   * @param {import("./view.js").View} view
   * @param {import("./wall.js").Wall} wall
   * @param {{region: (map: string, value: number) => void, redraw: () => void}} on
   */
  constructor(view, wall, on) {
    this.view = view;
    this.wall = wall;
    this.on = on;
    this.key = "";
    /** @type {HTMLTableRowElement[]} */ this.rows = [];
    const reject = /** @type {HTMLInputElement} */ ($("reject"));
    reject.addEventListener("input", () => view.set({ reject: Number(reject.value) }));
    const opacity = /** @type {HTMLInputElement} */ ($("opacity"));
    opacity.addEventListener("input", () => view.set({ opacity: Number(opacity.value) }));
  }

  /** The map whose classes are listed: the large one if it has any, else the labels. */
  map() {
    const current = this.wall.current();
    if (this.wall.picture(current)?.spec.kind === "label") return current;
    return this.wall.model.label || this.wall.model.cluster;
  }

  update() {
    const name = this.map();
    const picture = this.wall.picture(name);
    $("legend-box").hidden = !picture;
    if (!picture) return;
    const classes = picture.spec.classes;
    const key = `${name} ${classes.join("|")}`;
    if (key !== this.key) this.build(name, classes, key);
    const { counts, rejected, total, sureness } = picture.tally;
    this.rows.forEach((row, i) => {
      const last = i === classes.length;
      const n = last ? rejected : counts.get(i) ?? 0;
      const sure = last ? NaN : sureness.get(i) ?? NaN;
      const cells = [grouped(n), total ? `${((100 * n) / total).toFixed(1)}` : "–", Number.isNaN(sure) ? "" : sure.toFixed(2).replace(/^0/, "")];
      cells.forEach((text, c) => {
        if (row.cells[c + 1].textContent !== text) row.cells[c + 1].textContent = text;
      });
      row.dataset.count = String(n);
      row.classList.toggle("absent", n === 0);
      if (last) return;
      const box = /** @type {HTMLButtonElement} */ (row.querySelector("button"));
      box.setAttribute("aria-pressed", String(!this.view.now.hidden.includes(`${name}/${classes[i]}`)));
    });
    $("legend-box").classList.toggle("unsure", !picture.confidence); // clusters have no confidence
    $("legend-total").textContent = `${grouped(total)} px`;
    $("legend-total").dataset.total = String(total);
    const sliders = name === this.wall.model.label && !!this.wall.model.confidence;
    $("reject-row").hidden = !sliders;
    /** @type {HTMLInputElement} */ ($("reject")).value = String(this.view.now.reject);
    /** @type {HTMLInputElement} */ ($("opacity")).value = String(this.view.now.opacity);
    $("reject-value").textContent = this.view.now.reject.toFixed(2);
  }

  /** @param {string} name @param {string[]} classes @param {string} key */
  build(name, classes, key) {
    this.key = key;
    $("legend-name").textContent = this.wall.title(name);
    this.rows = [...classes, "rejected"].map((label, i) => this.row(name, label, i, i === classes.length));
    $("legend").replaceChildren(...this.rows);
  }

  /** @param {string} map @param {string} label @param {number} index @param {boolean} rejected */
  row(map, label, index, rejected) {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const swatch = document.createElement("span");
    swatch.className = rejected ? "swatch hatched" : "swatch";
    swatch.style.background = rejected ? "" : classColour(label, index);
    if (rejected) {
      swatch.style.color = REJECT_GREY;
      head.append(swatch, " rejected");
    } else {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "legend-name";
      button.title = `show or hide ${label}; shift: its mean spectrum as region ${this.view.now.roi}`;
      button.append(swatch, ` ${label}`);
      button.addEventListener("click", (e) => (e.shiftKey ? this.on.region(map, index) : this.toggle(`${map}/${label}`)));
      head.append(button);
    }
    row.append(head, ...[0, 1, 2].map(() => document.createElement("td")));
    row.dataset.class = label;
    const value = rejected ? NaN : index;
    row.addEventListener("pointerenter", () => this.point(map, value));
    row.addEventListener("pointerleave", () => this.point(map, NaN));
    row.addEventListener("focusin", () => this.point(map, value));
    row.addEventListener("focusout", () => this.point(map, NaN));
    return row;
  }

  /** @param {string} map @param {number} value */
  point(map, value) {
    this.wall.pointAt(map, value);
    this.on.redraw();
  }

  /** Mark the row of the class under the pointer. @param {string} map @param {number} value */
  mark(map, value) {
    this.rows.forEach((row, i) => row.classList.toggle("pointed", map === this.map() && i === value));
  }

  /** @param {string} key */
  toggle(key) {
    const hidden = this.view.now.hidden.includes(key) ? this.view.now.hidden.filter((k) => k !== key) : [...this.view.now.hidden, key];
    this.view.set({ hidden });
  }
}

/** @param {number} value */
export const percent = (value) => `${short(100 * value)} %`;
