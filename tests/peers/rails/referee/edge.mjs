// A second Forebay before the same application, with a config file: for what has to be switched on.
import { spawn } from "node:child_process";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { freePort } from "./server.mjs";
import { until, within } from "./until.mjs";

export class Edge {
  /** `route` are lines of its route; `listen` of its listener, where it is not a plain one. */
  static async start(stage, { name, route, listen }) {
    const relay = await Relay.start(await stage.server.applicationAddress());
    const [port, admin] = [await freePort(), await freePort()];
    const folder = stage.server.folder;
    const config = `${folder}/tmp/${name}.toml`;
    writeFileSync(config, [
      "[listen]", listen?.(port) ?? `on = ["127.0.0.1:${port}"]`,
      "[admin]", `listen = "127.0.0.1:${admin}"`,
      "[[origin]]", 'name = "app"', `servers = ["http://127.0.0.1:${relay.port}"]`,
      "[[route]]", 'origin = "app"', ...route, "",
    ].join("\n"));
    const log = openSync(`${folder}/tmp/${name}.log`, "a");
    const process = spawn(stage.server.forebay, ["run", "--config", config], { cwd: folder, stdio: ["ignore", log, log] });
    const edge = new Edge(process, relay, port);
    const words = () => readFileSync(`${folder}/tmp/${name}.log`, "utf8");
    await until(`the edge for ${name} listens`, 20, () => {
      if (edge.hasEnded) throw new Error(`the edge for ${name} ended: ${words()}`);
      return accepts(port);
    });
    return edge;
  }

  constructor(process, relay, port) {
    Object.assign(this, { relay, port });
    this.#process = process;
    this.#ended = new Promise((resolve) => {
      for (const end of ["exit", "error"]) process.once(end, () => { this.hasEnded = true; resolve(); });
    });
  }

  #process;
  #ended;

  async end() {
    this.#process.kill("SIGTERM");
    await within(30, "the edge to end", this.#ended);
    this.relay.end();
  }
}

/** Between edge and application: what the application has sent, byte by byte. */
class Relay {
  #sent = [];
  #server;

  static async start(to) {
    const relay = new Relay();
    relay.#server = net.createServer((near) => {
      const far = net.connect(to);
      far.on("data", (bytes) => relay.#sent.push(bytes));
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) socket.on("error", () => { near.destroy(); far.destroy(); });
    });
    await new Promise((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    relay.port = relay.#server.address().port;
    return relay;
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
