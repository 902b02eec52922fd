// The help: keys, words, formulas; offline like everything else.
// Lives here: text.

import { KEYS } from "./keys.js";
import { make } from "./panels.js";

const WORDS = /** @type {[string, string][]} */ ([
  ["age", "now minus the time the beam stood on the newest pixel shown"],
  ["lag p95", "from the last byte of a spectrum to its place on the maps; 95 of 100 are faster"],
  ["lost · late · twice", "messages that never came, came after their turn, came again"],
  ["label", "oxidation state that a trained model names; rejected where it is unsure"],
  ["cluster", "group of spectra that look alike; nobody told the engine what they are"],
  ["loading, factor", "how much of a principal component a pixel holds; what that component looks like"],
  ["Fit, Signal", "where the background is fitted, and where counts above it are summed"],
  ["shift", "what is added to a spectrum's energies so that its zero-loss peak stands at 0"],
  ["hatched grey", "rejected"], ["red lines", "lost: the beam was there, the spectrum never came"], ["dark", "not scanned yet"],
]);
const FORMULAS = /** @type {[string, string][]} */ ([
  ["background", "B(E) = A · E⁻ʳ, from the Fit window"],
  ["window map", "Σ counts − Σ B over the Signal window, per pixel"],
  ["SNR", "N / √(2 G − N), N net and G gross counts of a pixel, mean over the map"],
  ["band of a mean", "± σ of the mean, σ² from Poisson counting"],
  ["dose", "beam current × dwell × visits / (e × pixel area)"],
]);

/** @param {string} title @param {[string, string][]} rows */
function list(title, rows) {
  const dl = make("dl");
  for (const [term, text] of rows) dl.append(make("dt", "", term), make("dd", "", text));
  return [make("h3", "", title), dl];
}

/** @param {HTMLDialogElement} dialog */
export function openHelp(dialog) {
  if (!dialog.childElementCount) {
    const title = make("h2", "", "live_eels: keys, words, formulas");
    title.id = "help-title";
    const close = /** @type {HTMLButtonElement} */ (make("button", "", "close"));
    close.type = "button";
    close.addEventListener("click", () => dialog.close());
    const columns = make("div", "help-columns");
    const left = make("div");
    const right = make("div");
    left.append(...list("Keys", KEYS.map((k) => [k.keys, k.does])));
    right.append(...list("Words", WORDS), ...list("Formulas", FORMULAS));
    columns.append(left, right);
    const head = make("div", "bar help-head");
    head.append(title, close);
    dialog.append(head, columns);
  }
  dialog.showModal();
}
