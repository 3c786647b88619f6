// Half of the clients go to the second instance, and stay there by a cookie that only the edge sees.
import { Edge, Relay, origin } from "../edge.mjs";
import { cookieHeader, fetchRaw } from "../http.mjs";

const CLIENTS = 24;

export async function judge(report, stage) {
  const relays = [await Relay.start(stage.first), await Relay.start(stage.second)];
  const edge = await Edge.open(stage, {
    name: "split",
    relays,
    settings: (port) => [
      "[listen]", `on = ["127.0.0.1:${port}"]`,
      origin("stable", relays[0]), origin("canary", relays[1]),
      "[[route]]", 'origin = "stable"', "split = { canary = 50 }",
    ],
  });
  try {
    await laws(report, edge);
  } finally {
    await edge.end();
  }
}

async function laws(report, { url }) {
  const clients = [];
  for (let count = 0; count < CLIENTS; count += 1) clients.push(await fetchRaw(`${url}/seen`));
  const arm = ({ body }) => JSON.parse(body).instance;
  const arms = clients.map(arm);
  report.holds("both instances have clients", arms.includes("first") && arms.includes("second"), "first and second", arms);
  report.equal("each client gets a cookie", CLIENTS, new Set(clients.map(({ setCookies }) => cookieHeader(setCookies))).size);

  const again = [];
  for (const { setCookies } of clients) {
    const cookie = cookieHeader(setCookies);
    for (const _ of [1, 2]) again.push(await fetchRaw(`${url}/seen`, { headers: { cookie } }));
  }
  report.equal("and stays where it is", arms.flatMap((name) => [name, name]), again.map(arm));
  report.equal("Rails never sees the cookie", [], again.flatMap(({ body }) => JSON.parse(body).cookies));
}
