// Tabs as the ARIA practices have them: arrows move, one panel is shown.
// Lives here: the tab list only.

export class Tabs {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} panels
   * @param {[string, string][]} names  key and label
   * @param {(key: string) => void} onChoose
   */
  constructor(list, panels, names, onChoose) {
    this.list = list;
    this.onChoose = onChoose;
    /** @type {Map<string, {tab: HTMLButtonElement, panel: HTMLElement}>} */
    this.parts = new Map();
    for (const [key, label] of names) {
      const tab = document.createElement("button");
      Object.assign(tab, { type: "button", id: `tab-${key}`, textContent: label });
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", `panel-${key}`);
      tab.addEventListener("click", () => onChoose(key));
      const panel = document.createElement("section");
      panel.id = `panel-${key}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      panel.tabIndex = 0;
      list.append(tab);
      panels.append(panel);
      this.parts.set(key, { tab, panel });
    }
    list.addEventListener("keydown", (e) => this.key(e));
  }

  /** @param {string} key */
  panel(key) {
    return /** @type {{panel: HTMLElement}} */ (this.parts.get(key)).panel;
  }

  /** @param {string} chosen */
  show(chosen) {
    for (const [key, { tab, panel }] of this.parts) {
      tab.setAttribute("aria-selected", String(key === chosen));
      tab.tabIndex = key === chosen ? 0 : -1;
      panel.hidden = key !== chosen;
    }
  }

  /** @param {KeyboardEvent} e */
  key(e) {
    const keys = [...this.parts.keys()];
    const at = keys.findIndex((k) => this.parts.get(k)?.tab === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: keys.length - 1 }[e.key];
    if (to === undefined || at < 0) return;
    e.preventDefault();
    const key = keys[(to + keys.length) % keys.length];
    this.onChoose(key);
    this.parts.get(key)?.tab.focus();
  }
}
