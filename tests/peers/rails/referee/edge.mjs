// A second Forebay before the same application, with a config file: for what has to be switched on.
import { execFile, spawn } from "node:child_process";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { freePort } from "./server.mjs";
import { until, within } from "./until.mjs";

export class Edge {
  /** One origin, one route: `route` are lines of it; `listen` of its listener, where it is not a plain one. */
  static async start(stage, { name, route, listen }) {
    const relay = await Relay.start(await stage.server.applicationAddress());
    const settings = (port) => [
      "[listen]", listen?.(port) ?? `on = ["127.0.0.1:${port}"]`,
      origin("app", relay), "[[route]]", 'origin = "app"', ...route,
    ];
    const edge = await Edge.open(stage, { name, settings });
    return Object.assign(edge, { relay, relays: [relay] });
  }

  /** Settings of its own: `settings` answers their lines, but for those of `[admin]`, of a free port. */
  static async open(stage, { name, settings, relays = [], environment = {} }) {
    const [port, admin] = [await freePort(), `127.0.0.1:${await freePort()}`];
    const folder = stage.server.folder;
    const config = `${folder}/tmp/${name}.toml`;
    writeFileSync(config, [...settings(port), "[admin]", `listen = "${admin}"`, ""].join("\n"));
    const log = openSync(`${folder}/tmp/${name}.log`, "a");
    const child = spawn(stage.server.forebay, ["run", "--config", config], {
      cwd: folder, env: { ...process.env, ...environment }, stdio: ["ignore", log, log],
    });
    const edge = new Edge(child, { name, port, admin, relays, forebay: stage.server.forebay });
    edge.words = () => readFileSync(`${folder}/tmp/${name}.log`, "utf8");
    await until(`the edge for ${name} listens`, 30, () => {
      if (edge.hasEnded) throw new Error(`the edge for ${name} ended: ${edge.words()}`);
      return accepts(port);
    });
    return edge;
  }

  constructor(child, about) {
    Object.assign(this, about);
    this.url = `http://127.0.0.1:${this.port}`;
    this.#process = child;
    this.#ended = new Promise((resolve) => {
      for (const end of ["exit", "error"]) child.once(end, () => { this.hasEnded = true; resolve(); });
    });
  }

  #process;
  #ended;

  /** What a verb of an operator says: `{ code, out }`. */
  verb(...words) {
    return new Promise((resolve) => {
      execFile(this.forebay, [...words, "--admin", this.admin], { timeout: 20_000 }, (error, out, talk) => {
        resolve({ code: error ? error.code : 0, out: out + talk });
      });
    });
  }

  async status() { return JSON.parse((await this.verb("status", "--json")).out); }

  async end() {
    this.#process.kill("SIGTERM");
    await within(30, `the edge for ${this.name} to end`, this.#ended);
    for (const relay of this.relays) relay.end();
  }
}

/** Lines of an origin whose servers are these relays. */
export function origin(name, ...relays) {
  const servers = relays.map(({ port }) => `"http://127.0.0.1:${port}"`).join(", ");
  return `[[origin]]\nname = "${name}"\nservers = [${servers}]`;
}

/** Between edge and application: what each has sent, byte by byte. */
export class Relay {
  #asked = [];
  #sent = [];
  #server;
  #sockets = new Set();

  static async start(to) {
    const relay = new Relay();
    relay.#server = net.createServer((near) => {
      const far = net.connect(to);
      near.on("data", (bytes) => relay.#asked.push(bytes));
      far.on("data", (bytes) => relay.#sent.push(bytes));
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) {
        relay.#sockets.add(socket);
        socket.on("close", () => relay.#sockets.delete(socket));
        socket.on("error", () => { near.destroy(); far.destroy(); });
      }
    });
    await relay.open(0);
    relay.port = relay.#server.address().port;
    return relay;
  }

  open(port = this.port) {
    return new Promise((resolve, reject) => this.#server.once("error", reject).listen(port, "127.0.0.1", resolve));
  }

  /** Like a machine that is switched off; `open()` switches it on. */
  async cut() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** What was asked since this was called last. */
  asked() {
    return Buffer.concat(this.#asked.splice(0)).toString("latin1");
  }

  /** What was sent since this was asked last. */
  sent() {
    return Buffer.concat(this.#sent.splice(0)).toString("latin1");
  }

  end() { this.#server.close(); }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: "127.0.0.1", port });
    socket.on("connect", () => { socket.destroy(); resolve(true); });
    socket.on("error", () => resolve(false));
  });
}
