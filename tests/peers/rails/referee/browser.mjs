// Chromium over its DevTools pipe: one context for each person, and every byte that a context receives kept for the judge.
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { Page } from "./page.mjs";
import { within } from "./until.mjs";

const SWITCHES = [
  "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
  "--disable-dev-shm-usage", // containers have a small /dev/shm
  "--no-sandbox", // root and containers cannot have one; only our own pages are opened
];

export class Browser {
  #process;
  #next = 1;
  #calls = new Map();
  #pages = new Map();
  #rest = "";

  static async launch(executable, folder) {
    const browser = new Browser(executable, folder);
    await browser.call("Browser.getVersion");
    return browser;
  }

  constructor(executable, folder) {
    const log = openSync(`${folder}/chromium.log`, "a");
    const switches = [...SWITCHES, `--user-data-dir=${folder}/chromium`, "about:blank"];
    this.#process = spawn(executable, switches, { cwd: folder, stdio: ["ignore", log, log, "pipe", "pipe"] });
    this.#process.on("error", (error) => this.#abandon(error));
    this.#process.on("exit", () => this.#abandon(new Error("chromium ended")));
    this.#process.stdio[4].setEncoding("utf8").on("data", (text) => this.#read(text));
    this.#process.stdio[3].on("error", (error) => this.#abandon(error));
  }

  /** A person: cookies and cache of their own, one page. */
  async person(name) {
    const { browserContextId } = await this.call("Target.createBrowserContext");
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(name, (method, params) => this.call(method, params, sessionId));
    this.#pages.set(sessionId, page);
    await page.open();
    return page;
  }

  call(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#calls.set(id, { method, resolve, reject }));
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return within(20, `chromium to answer ${method}`, answer);
  }

  async close() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.call("Browser.close").catch(() => {});
    await within(10, "chromium to end", ended);
  }

  #read(text) {
    const messages = (this.#rest + text).split("\0");
    this.#rest = messages.pop();
    for (const message of messages) this.#take(JSON.parse(message));
  }

  #take({ id, sessionId, method, params, result, error }) {
    if (id === undefined) return this.#pages.get(sessionId)?.happened(method, params);
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error) call.reject(new Error(`${call.method}: ${error.message}`));
    else call.resolve(result);
  }

  #abandon(error) {
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}
