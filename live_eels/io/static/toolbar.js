// Buttons that are not about one panel: tools, popups, theme, freeze, scans, help.
// Lives here: buttons to choices of the view.

import { colourMenu } from "./colours.js";
import { exportMenu, saveCsv, savePng } from "./export.js";
import { openHelp } from "./help.js";

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Toolbar {
  /** @param {import("./export.js").Parts} parts */
  constructor(parts) {
    this.parts = parts;
    this.view = parts.view;
    this.scanKey = "";
    const { view } = this;
    const click = (/** @type {string} */ id, /** @type {() => void} */ act) => $(id).addEventListener("click", act);
    for (const button of this.tools()) button.addEventListener("click", () => view.set({ tool: button.dataset.tool }));
    click("roi-name", () => view.set({ roi: view.now.roi === "A" ? "B" : "A" }));
    click("clear", () => view.set({ rois: {}, pins: [] }));
    click("freeze", () => view.set({ freeze: !view.now.freeze }));
    click("theme", () => view.set({ theme: view.now.theme === "light" ? "dark" : "light" }));
    click("large", () => view.set({ large: !view.now.large }));
    click("help-button", () => this.help());
    click("contrast", () => this.toggle("contrast"));
    click("export", () => this.toggle("export"));
    $("scans").addEventListener("change", () => view.set({ scan: /** @type {HTMLSelectElement} */ ($("scans")).value || null }));
    $("overlay").addEventListener("change", () => {
      const { value } = /** @type {HTMLSelectElement} */ ($("overlay"));
      view.set({ overlays: value ? [value] : [] });
    });
    document.addEventListener("keydown", (e) => {
      if (e.key === "Escape" && this.close()) e.preventDefault();
    }, { capture: true });
  }

  tools() {
    return /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll(".tools [data-tool]")]);
  }

  /** @param {Set<string>} changed */
  update(changed) {
    const { now } = this.view;
    for (const button of this.tools()) button.setAttribute("aria-pressed", String(button.dataset.tool === now.tool));
    $("roi-name").textContent = now.roi;
    $("roi-name").setAttribute("aria-label", `regions are drawn as ${now.roi}`);
    $("freeze").setAttribute("aria-pressed", String(now.freeze));
    $("large").setAttribute("aria-pressed", String(now.large));
    if (["map", "luts", "locked"].some((k) => changed.has(k)) && !$("contrast-box").hidden) this.fill("contrast");
  }

  /** Scans of this session, newest first. */
  scans() {
    const { model } = this.parts;
    const live = model.status?.scan_id;
    const earlier = model.history.filter((h) => h.id !== live);
    const key = JSON.stringify([earlier.map((h) => h.id), this.view.now.scan]);
    if (key === this.scanKey) return;
    this.scanKey = key;
    const select = /** @type {HTMLSelectElement} */ ($("scans"));
    select.replaceChildren(new Option("live", ""), ...earlier.reverse().map((h) => new Option(`${h.number}: ${h.title || h.id}, ${h.shape.join(" × ")}, ${h.state}`, h.id)));
    select.value = this.view.now.scan ?? "";
  }

  /** @param {"contrast"|"export"} name */
  toggle(name) {
    const open = $(`${name}-box`).hidden;
    this.close();
    if (!open) return;
    this.fill(name);
    $(`${name}-box`).hidden = false;
    $(name).setAttribute("aria-expanded", "true");
    /** @type {HTMLElement|null} */ ($(`${name}-box`).querySelector("select, input, button"))?.focus();
  }

  /** @param {"contrast"|"export"} name */
  fill(name) {
    const box = $(`${name}-box`);
    if (name === "contrast") colourMenu(box, this.view, this.parts.wall, () => this.fill("contrast"));
    else exportMenu(box, this.parts, () => this.close());
  }

  close() {
    let any = false;
    for (const name of ["contrast", "export"]) {
      if ($(`${name}-box`).hidden) continue;
      any = true;
      $(`${name}-box`).hidden = true;
      $(name).setAttribute("aria-expanded", "false");
      $(name).focus();
    }
    return any;
  }

  help() {
    openHelp(/** @type {HTMLDialogElement} */ ($("help")));
  }

  save() {
    savePng(this.parts);
  }

  csv() {
    saveCsv(this.parts);
  }
}
