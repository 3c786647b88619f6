// What the referee says: one line for each law, with expected and got when it is broken.

export class Report {
  #case = "";
  #failures = 0;
  #laws = 0;

  open(name) { this.#case = name; }

  /** The one way to judge: `got` must be `expected`. */
  equal(law, expected, got) {
    this.#judge(law, JSON.stringify(expected) === JSON.stringify(got), JSON.stringify(expected), JSON.stringify(got));
  }

  /** For laws whose expectation is a sentence. */
  holds(law, condition, expected, got) {
    this.#judge(law, Boolean(condition), expected, typeof got === "string" ? got : JSON.stringify(got));
  }

  broken(law, error) { this.#judge(law, false, "no error", error.stack ?? String(error)); }

  skipped(why) { console.log(`skipped ${this.#case}: ${why}`); }

  get failures() { return this.#failures; }

  summary(seconds) {
    console.log(`${this.#laws} laws, ${this.#failures} failed, ${seconds.toFixed(1)} s`);
  }

  #judge(law, good, expected, got) {
    this.#laws += 1;
    if (good) return console.log(`ok      ${this.#case}: ${law}`);
    this.#failures += 1;
    console.log(`failed  ${this.#case}: ${law}\n        expected: ${expected}\n        got:      ${got}`);
  }
}
