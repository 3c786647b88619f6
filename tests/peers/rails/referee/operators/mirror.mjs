// The second instance gets a copy of what the first is asked, without what says whose request it is.
import { Edge, Relay, origin } from "../edge.mjs";
import { fetchRaw } from "../http.mjs";
import { until } from "../until.mjs";

export async function judge(report, stage) {
  const [app, next] = [await Relay.start(stage.first), await Relay.start(stage.second)];
  const edge = await Edge.open(stage, {
    name: "mirror",
    relays: [app, next],
    settings: (port) => [
      "[listen]", `on = ["127.0.0.1:${port}"]`,
      origin("app", app), origin("next", next),
      "[[route]]", 'name = "all"', 'origin = "app"', 'policy = "pass"', 'mirror = { origin = "next" }',
    ],
  });
  try {
    const cookie = `secret=${crypto.randomUUID()}`;
    const { body } = await fetchRaw(`${edge.url}/seen?from=mirror`, { headers: { cookie } });
    const { instance, cookies } = JSON.parse(body);
    report.equal("the client is answered by its own instance", ["first", ["secret"]], [instance, cookies]);
    let asked = "";
    let sent = "";
    await until("the copy was answered", 20, () => { asked += next.asked(); sent += next.sent(); return sent.includes('"instance":"second"'); });
    report.holds("the other one is asked the same", asked.startsWith("GET /seen?from=mirror HTTP/1.1\r\n"), "GET /seen?from=mirror", asked);
    report.holds("and told that it is a copy", /^forebay-mirror: all\r$/im.test(asked), "Forebay-Mirror: all", asked);
    report.holds("not whose request it is", !asked.includes(cookie), "no cookie", asked);
    await fetchRaw(`${edge.url}/session`, { method: "POST" });
    await until("the POST was answered", 20, () => /HTTP\/1.1 422/.test(app.sent()));
    report.equal("a POST is not copied", "", next.asked());
  } finally {
    await edge.end();
  }
}
