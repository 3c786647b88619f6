// A route is closed for work and opened again by a command; what is stored goes on, and so do those who work on it.
import { writeFileSync } from "node:fs";
import { Edge, Relay, origin } from "../edge.mjs";
import { fetchRaw, isHit } from "../http.mjs";

export async function judge(report, stage) {
  const relay = await Relay.start(stage.first);
  writeFileSync(`${stage.server.folder}/tmp/closed.html`, "<h1>Back soon</h1>");
  const edge = await Edge.open(stage, {
    name: "maintenance",
    relays: [relay],
    settings: (port) => [
      "[listen]", `on = ["127.0.0.1:${port}"]`,
      "[admit]", 'trusted_proxies = ["127.0.0.1"]',
      "[maintenance]", 'page = "closed.html"', 'retry_after = "10m"', 'allow = ["203.0.113.0/24"]', "serve_hits = true",
      origin("app", relay),
      "[[route]]", 'name = "pages"', 'hosts = ["127.0.0.1"]',
    ],
  });
  try {
    await laws(report, edge, relay);
  } finally {
    await edge.end();
  }
}

async function laws(report, edge, relay) {
  const [style] = (await fetchRaw(`${edge.url}/session/new`)).body.match(/\/assets\/[\w-]+\.css/);
  await fetchRaw(edge.url + style);
  report.equal("the verb is taken", 0, (await edge.verb("maintenance", "on", "--route", "pages")).code);
  relay.asked();
  const { status, headers, body } = await fetchRaw(`${edge.url}/seen`);
  report.equal("clients get the page", [503, "<h1>Back soon</h1>"], [status, body]);
  report.equal("and are told when to come again", ["600", "maintenance"], [headers["retry-after"], headers["forebay-error"]]);
  const stored = await fetchRaw(edge.url + style);
  report.equal("what is stored goes on", [200, true], [stored.status, isHit(stored.headers)]);
  report.equal("the application is not asked", "", relay.asked());
  const own = await fetchRaw(`${edge.url}/seen`, { headers: { "x-forwarded-for": "203.0.113.9" } });
  report.equal("who works on it comes in", 200, own.status);
  report.holds("the status says so", (await edge.verb("status", "--once")).out.includes("pages"), "the route's name", "no word of it");

  await edge.verb("maintenance", "off", "--route", "pages");
  report.equal("it opens again", 200, (await fetchRaw(`${edge.url}/seen`)).status);
}
