// The same page from the same instance; and one that comes back is loaded slowly.
import { Edge, Relay, origin } from "../edge.mjs";
import { fetchRaw } from "../http.mjs";
import { until } from "../until.mjs";

// Odd, so that a mere alternation would not find each page where it was.
const PAGES = 17;

export async function judge(report, stage) {
  await Promise.all([byHash(report, stage), slowly(report, stage)]);
}

async function open(stage, name, ...more) {
  const relays = [await Relay.start(stage.first), await Relay.start(stage.second)];
  const settings = (port) => ["[listen]", `on = ["127.0.0.1:${port}"]`, origin("app", ...relays), ...more, "[[route]]"];
  return Edge.open(stage, { name, relays, settings });
}

async function byHash(report, stage) {
  const edge = await open(stage, "hash", 'balance = "hash"');
  const instances = async () => {
    const all = [];
    for (let page = 0; page < PAGES; page += 1) all.push(await instance(`${edge.url}/seen?page=${page}`));
    return all;
  };
  try {
    const before = await instances();
    report.equal("both instances have pages", ["first", "second"], [...new Set(before)].sort());
    report.equal("a page comes from the same instance again", before, await instances());

    await edge.relays[1].cut();
    const without = await instances();
    report.equal("without the second the first has them all", Array(PAGES).fill("first"), without);
  } finally {
    await edge.end();
  }
}

async function slowly(report, stage) {
  const probe = 'probe = { path = "/up", interval = "100ms", rises_after = 1, falls_after = 1 }';
  const edge = await open(stage, "slow-start", 'balance = "round-robin"', 'slow_start = "8s"', probe);
  /** How many of thirty the second instance answers. */
  const share = async () => {
    let count = 0;
    for (let asked = 0; asked < 30; asked += 1) if (await instance(`${edge.url}/seen`) === "second") count += 1;
    return count;
  };
  const isHealthy = async () => (await edge.status()).origins[0].servers[1].is_healthy;
  try {
    await until("both have an even share", 20, async () => (await share()) === 15);
    await edge.relays[1].cut();
    await until("the second is sick", 20, async () => !(await isHealthy()));
    await edge.relays[1].open();
    await until("the second is well", 20, isHealthy);
    const early = await share();
    report.holds("one that comes back begins with little", early < 12, "fewer than 12 of 30", early);
    await until("it has its whole share", 40, async () => (await share()) === 15);
    report.holds("and grows into its share", true);
  } finally {
    await edge.end();
  }
}

async function instance(url) {
  const { body } = await fetchRaw(url);
  return JSON.parse(body).instance;
}
