// Rails itself says whose session it is, once; the edge passes it on signed, and Rails believes nobody else.
import { Edge } from "../edge.mjs";
import { cookiesOf, fetchRaw } from "../http.mjs";

const user = ({ body }) => JSON.parse(body).user;

export async function judge(report, stage) {
  const { folder } = stage.server;
  const edge = await Edge.start(stage, {
    name: "door",
    route: [
      'forward_auth = "session"',
      "[forward_auth.session]", 'origin = "app"', 'path = "/internal/session"', "show = []",
      'show_fields = ["cookie"]', 'show_cookies = ["_pinboard_session"]', 'take = ["x-user"]',
      `key_file = "${folder}/config/edge.keys"`,
    ],
  });
  try {
    await laws(report, stage, edge);
  } finally {
    await edge.end();
  }
}

async function laws(report, stage, { url, relay }) {
  const answer = await fetchRaw(`${url}/seen`);
  report.equal("without a session nobody comes in", 401, answer.status);
  report.equal("a name that a client makes up does not help", 401, (await fetchRaw(`${url}/seen`, { headers: { "x-user": "alice" } })).status);

  const [alice, bob] = [await cookiesOf(stage.url, stage.alice), await cookiesOf(stage.url, stage.bob)];
  relay.asked();
  const answers = [];
  for (const cookie of [alice, alice, bob, alice]) {
    answers.push(await fetchRaw(`${url}/seen`, { headers: { cookie, "x-user": "mallory" } }));
  }
  report.equal("Rails is told whose request it is", ["alice", "alice", "bob", "alice"], answers.map(user));
  const asked = relay.asked();
  report.equal("each session is looked up once", 2, asked.split("GET /internal/session HTTP/1.1").length - 1);
  report.holds("what is said is signed", /^signature-input: forebay=\(.*"x-user"/im.test(asked), "Signature-Input over x-user", asked.slice(0, 2000));

  const { host, port } = stage.first;
  const past = await fetchRaw(`http://${host}:${port}/seen`, { headers: { cookie: alice, "x-user": "alice" } });
  report.equal("past the edge nobody can say it", [200, null], [past.status, user(past)]);
  const [, signature] = /^signature: (.*)\r$/im.exec(asked);
  const [, input] = /^signature-input: (.*)\r$/im.exec(asked);
  const forged = { "x-user": "bob", signature, "signature-input": input, "x-forwarded-host": "127.0.0.1" };
  report.equal("nor with somebody's signature", null, user(await fetchRaw(`http://${host}:${port}/seen`, { headers: forged })));
}
