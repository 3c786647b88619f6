// An application at its limit: its "not now" is believed, less is asked of it, and what is stored goes on.
import { rmSync, writeFileSync } from "node:fs";
import { Edge, Relay, origin } from "../edge.mjs";
import { fetchRaw } from "../http.mjs";
import { until } from "../until.mjs";

const ASKED = 80;

export async function judge(report, stage) {
  const relays = [await Relay.start(stage.first), await Relay.start(stage.second)];
  const edge = await Edge.open(stage, {
    name: "overload",
    relays,
    settings: (port) => [
      "[listen]", `on = ["127.0.0.1:${port}"]`,
      // A refusal must not go round the servers, even where failures do.
      origin("app", ...relays), "failover_statuses = [503]", "[[route]]",
    ],
  });
  try {
    await laws(report, stage, edge, relays);
  } finally {
    rmSync(`${stage.server.folder}/tmp/busy`, { force: true });
    await edge.end();
  }
}

async function laws(report, stage, edge, relays) {
  const refusals = () => relays.map((relay) => relay.sent().split("HTTP/1.1 503").length - 1).reduce((a, b) => a + b);
  const ask = () => fetchRaw(`${edge.url}/busy`);
  report.equal("at first it serves", "served", (await ask()).body);
  report.equal("the landing page is stored", 200, (await fetchRaw(`${edge.url}/`)).status);

  writeFileSync(`${stage.server.folder}/tmp/busy`, "");
  refusals();
  const first = await ask();
  report.equal("its refusal reaches the client as it is", [503, "1", undefined],
    [first.status, first.headers["retry-after"], first.headers["forebay-error"]]);
  report.equal("and the other instance is not asked instead", 1, refusals());

  const answers = [];
  const pages = [];
  for (let count = 0; count < ASKED; count += 1) {
    answers.push(await ask());
    if (count % 8 === 0) pages.push((await fetchRaw(`${edge.url}/`)).status);
  }
  const shed = answers.filter(({ headers }) => headers["forebay-error"] === "shed");
  report.equal("nothing but refusals comes", [503], [...new Set(answers.map(({ status }) => status))]);
  report.holds("a part is refused at the edge", shed.length >= 10, "10 or more", shed.length);
  report.equal("the application is asked for the others alone", ASKED - shed.length, refusals());
  report.holds("who is refused is told when to come again", shed.every(({ headers }) => Number(headers["retry-after"]) > 0), "Retry-After", shed[0]?.headers);
  report.equal("the landing page goes on", [200], [...new Set(pages)]);
  const told = (await edge.verb("status", "--once")).out;
  report.holds("the status says what is shed", /shed|overload/i.test(told), "shed or overloaded", told);

  rmSync(`${stage.server.folder}/tmp/busy`);
  await until("everything is served again", 40, async () => {
    const again = await Promise.all(Array.from({ length: 12 }, ask));
    return again.every(({ body }) => body === "served");
  });
  report.holds("when it takes more again, it gets everything", true);
}
