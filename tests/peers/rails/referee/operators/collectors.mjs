// Spans and metrics arrive at what others have made: OpenTelemetry's own message types, and the daemon of StatsD.
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { Edge, Relay, origin } from "../edge.mjs";
import { fetchRaw } from "../http.mjs";
import { freePort } from "../server.mjs";
import { until, within } from "../until.mjs";

const { COLLECTORS: folder, PYTHON: python } = process.env;
const STATSD = `${folder}/node_modules/statsd/stats.js`;

export async function judge(report, stage) {
  if (!folder || !existsSync(STATSD)) return report.skipped("no collectors: neither PyPI nor npm could be reached");
  const [relay, collector, daemon] = [await Relay.start(stage.first), await Collector.start(), await Daemon.start(stage)];
  const edge = await Edge.open(stage, {
    name: "collectors",
    relays: [relay],
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`, OTEL_SERVICE_NAME: "pinboard-edge",
      OTEL_BSP_SCHEDULE_DELAY: "200", OTEL_METRIC_EXPORT_INTERVAL: "500",
    },
    settings: (port) => [
      "[listen]", `on = ["127.0.0.1:${port}"]`,
      "[statsd]", `address = "127.0.0.1:${daemon.port}"`, 'interval = "1s"', 'tags = ["env:referee"]',
      origin("app", relay), "[[route]]", 'name = "pages"',
    ],
  });
  try {
    const { headers } = await fetchRaw(`${edge.url}/seen`, { headers: { traceparent: `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01` } });
    await spans(report, collector, headers["x-request-id"]);
    await metrics(report, collector);
    await counters(report, daemon);
  } finally {
    await edge.end();
    collector.end();
    daemon.end();
  }
}

async function spans(report, collector, id) {
  const all = () => collector.got("/v1/traces").flatMap(({ message }) => message.resourceSpans.flatMap((of) => of.scopeSpans.flatMap(({ spans: some }) => some)));
  const both = await until("two spans came", 20, () => all().length >= 2 && all());
  const server = both.find(({ kind }) => kind === "SPAN_KIND_SERVER");
  const client = both.find(({ kind }) => kind === "SPAN_KIND_CLIENT");
  report.equal("a request is one span, what Rails was asked another below it", [true, true, server?.spanId], [Boolean(server), Boolean(client), client?.parentSpanId]);
  const binary = (hex) => Buffer.from(hex, "hex").toString("base64");
  report.equal("in the trace of the client", [binary("ab".repeat(16)), binary("cd".repeat(8))], [server?.traceId, server?.parentSpanId]);
  const text = JSON.stringify(server);
  report.holds("with its id, route and status", text.includes(id) && text.includes('"pages"') && text.includes('"http.response.status_code"'), `${id}, pages, a status`, text);
  const [{ message, type, unknown }] = collector.got("/v1/traces");
  report.equal("every field is one that OpenTelemetry knows", ["application/x-protobuf", 0], [type, unknown]);
  report.holds("the service has its name", JSON.stringify(message.resourceSpans[0].resource).includes('"pinboard-edge"'), "pinboard-edge", message.resourceSpans[0].resource);
}

async function metrics(report, collector) {
  const all = () => collector.got("/v1/metrics").flatMap(({ message }) => message.resourceMetrics.flatMap((of) => of.scopeMetrics.flatMap(({ metrics: some }) => some)));
  const requests = await until("the requests were counted", 20, () => all().find(({ name }) => name.includes("request")));
  report.holds("metrics come too, with their points", JSON.stringify(requests).includes("dataPoints"), "data points", requests);
  report.equal("and all of their fields are known", [0], [...new Set(collector.got("/v1/metrics").map(({ unknown }) => unknown))]);
}

async function counters(report, daemon) {
  const counted = await until("StatsD counts the requests", 20, async () => {
    const text = await daemon.ask("counters");
    return /forebay\.edge\.requests/.test(text) && text;
  });
  report.holds("StatsD counts the requests, by tags", /forebay\.edge\.requests[^\n]*env[:_=]referee/.test(counted), "forebay.edge.requests… env:referee", counted);
  const bad = /'statsd\.bad_lines_seen': (\d+)/.exec(counted)?.[1];
  report.equal("and takes every line", "0", bad);
}

class Collector {
  #process = spawn(python, [fileURLToPath(new URL("collector.py", import.meta.url))], {
    env: { ...process.env, PYTHONPATH: `${folder}/python`, PYTHONDONTWRITEBYTECODE: "1" }, stdio: ["ignore", "pipe", "inherit"],
  });
  #lines = [];

  static async start() {
    const collector = new Collector();
    let text = "";
    collector.#process.stdout.setEncoding("utf8").on("data", (data) => {
      const lines = (text + data).split("\n");
      text = lines.pop();
      collector.#lines.push(...lines.map((line) => JSON.parse(line)));
    });
    const ended = new Promise((_, reject) => collector.#process.once("exit", () => reject(new Error("the collector ended"))));
    ended.catch(() => {});
    collector.port = await Promise.race([ended, until("the collector listens", 30, () => collector.#lines.shift())]);
    return collector;
  }

  got(path) { return this.#lines.filter((line) => line.path === path); }

  end() { this.#process.kill(); }
}

class Daemon {
  #process;
  #management;

  static async start(stage) {
    const daemon = new Daemon();
    [daemon.port, daemon.#management] = [await freePort(), await freePort()];
    const config = `${stage.server.folder}/tmp/statsd.js`;
    // Long enough that nothing is flushed away before it is looked at.
    const settings = { port: daemon.port, mgmt_port: daemon.#management, address: "127.0.0.1", mgmt_address: "127.0.0.1", flushInterval: 3_600_000, backends: [] };
    writeFileSync(config, JSON.stringify(settings));
    daemon.#process = spawn(process.execPath, [STATSD, config], { stdio: "ignore" });
    await until("StatsD listens", 20, () => daemon.ask("health").then((said) => said.includes("up"), () => false));
    return daemon;
  }

  /** A word to its management port, and what it answers: it takes one at a time and ends it with a line. */
  ask(word) {
    const answer = new Promise((resolve, reject) => {
      let text = "";
      const socket = net.connect({ host: "127.0.0.1", port: this.#management }, () => socket.write(word));
      socket.setEncoding("utf8").on("error", reject).on("data", (data) => {
        text += data;
        if (/^(END|health: .*)$/m.test(text)) { socket.destroy(); resolve(text); }
      });
    });
    return within(10, `StatsD to answer ${word}`, answer);
  }

  end() { this.#process.kill(); }
}
