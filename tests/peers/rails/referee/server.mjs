// The thing under test: Forebay with the application as its child, or (REFEREE_DIRECT=1) the application alone.
import { execFile, spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import net from "node:net";
import { promisify } from "node:util";
import { fetchRaw } from "./http.mjs";
import { until, within } from "./until.mjs";

const START_SECONDS = 30;

export class Server {
  static async start({ folder, forebay }) {
    const [port, adminPort] = [await freePort(), await freePort()];
    const server = new Server({ folder, forebay, port, adminPort });
    await until("the application answers", START_SECONDS, () => server.ended ? server.#tellEnd() : server.isUp());
    return server;
  }

  constructor({ folder, forebay, port, adminPort }) {
    this.folder = folder;
    this.forebay = forebay;
    this.url = `http://127.0.0.1:${port}`;
    this.address = { host: "127.0.0.1", port };
    this.admin = `127.0.0.1:${adminPort}`;
    this.log = `${folder}/server.log`;
    const application = ["bin/rails", "server"];
    const command = forebay
      ? [forebay, "run", "--listen", `127.0.0.1:${port}`, "--admin", this.admin, "--", ...application]
      : application;
    const log = openSync(this.log, "a");
    this.process = spawn(command[0], command.slice(1), {
      cwd: folder,
      env: forebay ? process.env : { ...process.env, PORT: String(port) },
      stdio: ["ignore", log, log],
    });
    this.process.on("error", (error) => { this.ended = { error: error.message }; });
    this.process.on("exit", (code, signal) => { this.ended = { code, signal }; });
  }

  /** Whether the application itself answers: this page is never stored. */
  async isUp() {
    const answer = await fetchRaw(`${this.url}/up`).catch(() => undefined);
    return answer?.status === 200;
  }

  /** Where the application itself listens, behind Forebay. */
  async applicationAddress() {
    const { stdout } = await promisify(execFile)(this.forebay, ["status", "--json", "--admin", this.admin], { timeout: 10_000 });
    const [, host, port] = /"address":\s*"(?:http:\/\/)?([\d.]+):(\d+)"/.exec(stdout);
    return { host, port: Number(port) };
  }

  /** The process that runs Rails, as Rails writes it down. */
  railsPid() { return Number(readFileSync(`${this.folder}/tmp/pids/server.pid`, "utf8")); }

  /** A deployment that cannot start, until `mend()`. */
  breakApplication() {
    const file = `${this.folder}/config/application.rb`;
    renameSync(file, `${file}.away`);
    return { mend: () => renameSync(`${file}.away`, file) };
  }

  /** Asks for an answer that the application holds back until `release()`; it is in Rails' hands when this returns. */
  async slow(ticket) {
    const mark = (end) => `${this.folder}/tmp/${ticket}.${end}`;
    const answer = fetchRaw(`${this.url}/slow/${ticket}`).catch((error) => ({ status: error.message, body: "" }));
    await until(`${ticket} is in flight`, 20, () => existsSync(mark("started")));
    return { answer, release: () => writeFileSync(mark("release"), ""), whole: `finished ${ticket}\n`.repeat(1000) };
  }

  /** `forebay reload`: answers exit code and what it said. */
  async reload() {
    try {
      const { stdout, stderr } = await promisify(execFile)(this.forebay, ["reload", "--admin", this.admin], { cwd: this.folder, timeout: 10_000 });
      return { code: 0, said: stdout + stderr };
    } catch (error) {
      return { code: error.code ?? null, said: `${error.stdout}${error.stderr}` };
    }
  }

  /** Whether somebody still accepts connections. */
  accepts() {
    return new Promise((resolve) => {
      const socket = net.connect(this.address);
      socket.on("connect", () => { socket.destroy(); resolve(true); });
      socket.on("error", () => resolve(false));
    });
  }

  async end(seconds) {
    if (!this.ended) await within(seconds, "the server to end", new Promise((resolve) => this.process.once("exit", resolve)));
    return this.ended;
  }

  lastWords() {
    const lines = readFileSync(this.log, "utf8").trimEnd().split("\n").slice(-40);
    return `last lines of the server's output:\n${lines.join("\n")}`;
  }

  #tellEnd() { throw new Error(`the server ended: ${JSON.stringify(this.ended)}; ${this.lastWords()}`); }
}

/** Whether a process runs; one that has ended and waits for its parent does not. */
export function isAlive(pid) {
  try {
    const state = /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))[1];
    return state !== "Z" && state !== "X";
  } catch {
    return false;
  }
}

// Below those that the system hands out by itself (`ip_local_port_range`): nobody who asks for any port gets one
// that a server is yet to take. And no port twice.
let next = 15_000 + Math.floor(Math.random() * 10_000);

export async function freePort() {
  for (;;) {
    const port = next++;
    const isFree = await new Promise((resolve) => {
      const socket = net.createServer().on("error", () => resolve(false));
      socket.listen(port, "127.0.0.1", () => socket.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
