// What the referee says: one line for each law, with expected and got when it is broken.

export class Report {
  #case = "";
  #count = { failures: 0, laws: 0 };

  open(name) { this.#case = name; }

  /** The same report for a case that runs beside others. */
  beside(name) {
    const report = new Report();
    report.#count = this.#count;
    report.open(name);
    return report;
  }

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

  get failures() { return this.#count.failures; }

  summary(seconds) {
    console.log(`${this.#count.laws} laws, ${this.#count.failures} failed, ${seconds.toFixed(1)} s`);
  }

  #judge(law, good, expected, got) {
    this.#count.laws += 1;
    if (good) return console.log(`ok      ${this.#case}: ${law}`);
    this.#count.failures += 1;
    console.log(`failed  ${this.#case}: ${law}\n        expected: ${expected}\n        got:      ${got}`);
  }
}
