// What an operator can ask the edge: what is busiest, why a page is stored, when it was deployed.
import { Edge } from "../edge.mjs";
import { fetchRaw } from "../http.mjs";
import { until } from "../until.mjs";

export async function judge(report, stage) {
  const route = [
    'name = "pages"', 'path = "/*"', 'policy = "mine"', 'rates = ["calm"]',
    "[policy.mine]", 'extends = "html"', 'key_cookies = ["theme"]',
    "[rate.calm]", "requests = 1000",
  ];
  const edge = await Edge.start(stage, { name: "look", route });
  try {
    for (let count = 0; count < 20; count += 1) await fetchRaw(`${edge.url}/`);
    await fetchRaw(`${edge.url}/seen`);
    await busiest(report, edge);
    await why(report, edge);
    await marks(report, edge);
  } finally {
    await edge.end();
  }
}

async function busiest(report, edge) {
  const top = async (of) => JSON.parse((await edge.verb("top", of, "--json")).out);
  const names = (rows) => JSON.stringify(rows);
  const keys = await until("the landing page is among the keys", 20, async () => {
    const rows = await top("keys");
    return names(rows).includes(`127.0.0.1:${edge.port}/`) ? rows : undefined;
  });
  report.holds("the landing page is asked for most", /^\D*[^/]*\/\/127\.0\.0\.1:\d+\/"/.test(names(keys).replace(/^.*?http/s, "http")), "the first key", names(keys));
  report.holds("by this machine", names(await top("clients")).includes('"127.0.0.1"'), "127.0.0.1", "somebody else");
  const once = await edge.verb("top", "routes", "--once");
  report.holds("on the one route", once.code === 0 && /pages/.test(once.out), "pages", once);
}

async function why(report, edge) {
  const { code, out } = await edge.verb("cache", "why", `${edge.url}/`, "-H", "Cookie: theme=dark; _pinboard_session=1");
  for (const rule of ["pages", "mine", "calm"]) report.holds(`\`cache why\` names ${rule}`, code === 0 && out.includes(rule), rule, out);
  report.holds("and shows the key", /^key .*theme.*dark/m.test(out), "theme and dark in the key", out);
}

async function marks(report, edge) {
  const words = `pinboard ${crypto.randomUUID()} deployed`;
  report.equal("a deploy is marked", 0, (await edge.verb("mark", words, "--by", "referee")).code);
  const { out } = await edge.verb("status", "--once");
  report.holds("and the status shows it", out.includes(words) && out.includes("referee"), words, out);
}
