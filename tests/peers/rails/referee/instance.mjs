// A second process of the same application, as behind a balancer; it tells of a page's files before it answers.
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { fetchRaw } from "./http.mjs";
import { freePort } from "./server.mjs";
import { until, within } from "./until.mjs";

const START_SECONDS = 60;

export class Instance {
  static async start({ server: { folder } }) {
    const instance = new Instance();
    const port = await freePort();
    instance.address = { host: "127.0.0.1", port };
    const log = openSync(`${folder}/second.log`, "a");
    instance.#process = spawn("bin/rails", ["server", "--pid", `${folder}/tmp/pids/second.pid`], {
      cwd: folder, env: { ...process.env, PORT: String(port), INSTANCE: "second" }, stdio: ["ignore", log, log],
    });
    instance.#ended = new Promise((resolve) => {
      for (const end of ["exit", "error"]) instance.#process.once(end, () => { instance.hasEnded = true; resolve(); });
    });
    await until("the second instance answers", START_SECONDS, async () => {
      if (instance.hasEnded) throw new Error("the second instance ended");
      const answer = await fetchRaw(`http://127.0.0.1:${port}/up`).catch(() => undefined);
      return answer?.status === 200;
    });
    return instance;
  }

  #process;
  #ended;

  async end() {
    this.#process.kill("SIGTERM");
    await within(30, "the second instance to end", this.#ended);
  }
}
