// A limit for the sign-in form: who tries too often is told so at the edge, and the application is spared.
import { Edge, Relay, origin } from "../edge.mjs";
import { fetchRaw } from "../http.mjs";

export async function judge(report, stage) {
  const relay = await Relay.start(stage.first);
  const edge = await Edge.open(stage, {
    name: "rates",
    relays: [relay],
    settings: (port) => [
      "[listen]", `on = ["127.0.0.1:${port}"]`,
      "[admit]", 'trusted_proxies = ["127.0.0.1"]',
      "[rate.sign-in]", "requests = 6", 'per = "1h"', "burst = 3",
      origin("app", relay),
      "[[route]]", 'path = "/session"', 'methods = ["POST"]', 'rates = ["sign-in"]',
      "[[route]]",
    ],
  });
  try {
    await laws(report, edge, relay);
  } finally {
    await edge.end();
  }
}

async function laws(report, { url }, relay) {
  const guess = (client) => fetchRaw(`${url}/session`, { method: "POST", headers: { "x-forwarded-for": client } });
  const tries = [];
  for (let count = 0; count < 4; count += 1) tries.push(await guess("203.0.113.7"));
  // Without the form's token Rails refuses each of them.
  report.equal("the fourth try in a row is one too many", [422, 422, 422, 429], tries.map(({ status }) => status));
  report.equal("Rails is asked for three of them", 3, relay.sent().split("HTTP/1.1 422").length - 1);

  const { headers } = tries[3];
  report.equal("the client is told why", "rate-limited", headers["forebay-error"]);
  const seconds = Number(headers["retry-after"]);
  report.holds("and when to come again", seconds > 590 && seconds <= 600, "Retry-After of ten minutes", headers);
  report.equal("what the limit is", '"sign-in";q=6;w=3600', headers["ratelimit-policy"]);
  report.holds("and what is left of it", /^"sign-in";r=0;t=\d+$/.test(headers.ratelimit ?? ""), '"sign-in";r=0;t=…', headers);
  report.holds("answers before it count down", /^"sign-in";r=2;/.test(tries[0].headers.ratelimit ?? ""), '"sign-in";r=2;…', tries[0].headers);

  report.equal("somebody else may still try", 422, (await guess("203.0.113.8")).status);
  const form = await fetchRaw(`${url}/session/new`, { headers: { "x-forwarded-for": "203.0.113.7" } });
  report.equal("the form itself is not limited", [200, undefined], [form.status, form.headers.ratelimit]);
}
