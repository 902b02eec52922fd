// What a screen reader is told: the cursor and changes of state, at most every two seconds.
// Lives here: the live region.

const QUIET_MS = 2000;

export class Announcer {
  /** @param {HTMLElement} region */
  constructor(region) {
    this.region = region;
    this.pending = "";
    this.said = "";
    this.timer = 0;
    this.at = -QUIET_MS;
  }

  /** @param {string} text */
  say(text) {
    if (text === this.said || text === this.pending) return;
    this.pending = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.speak(), Math.max(150, this.at + QUIET_MS - performance.now()));
  }

  speak() {
    this.at = performance.now();
    this.said = this.pending;
    this.pending = "";
    this.region.textContent = this.said;
  }
}
