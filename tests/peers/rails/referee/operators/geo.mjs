// Rails learns where a client is, from the edge alone.
import { existsSync } from "node:fs";
import { Edge, Relay, origin } from "../edge.mjs";
import { fetchRaw } from "../http.mjs";

const DATABASE = "GeoIP2-City-Test.mmdb";

export async function judge(report, stage) {
  const database = `${process.env.GEO_DATA}/${DATABASE}`;
  if (!existsSync(database)) return report.skipped(`no ${DATABASE} in FOREBAY_GEO_DATA or ../shared/data/geo`);
  const relay = await Relay.start(stage.first);
  const edge = await Edge.open(stage, {
    name: "geo",
    relays: [relay],
    settings: (port) => [
      "[listen]", `on = ["127.0.0.1:${port}"]`,
      "[admit]", 'trusted_proxies = ["127.0.0.1"]',
      "[geo]", `database = "${database}"`,
      "[policy.local]", 'extends = "html"', 'key_geo = "country"',
      origin("app", relay),
      "[[route]]", 'path = "/up"', 'countries = ["US"]', 'answer = { text = "from the States" }',
      "[[route]]", 'path = "/seen"', 'policy = "pass"',
      "[[route]]", 'policy = "local"',
    ],
  });
  try {
    await laws(report, edge);
  } finally {
    await edge.end();
  }
}

async function laws(report, { url }) {
  const from = (client, path, headers = {}) => fetchRaw(url + path, { headers: { "x-forwarded-for": client, ...headers } });
  const viewer = ({ body }) => JSON.parse(body).viewer;
  const field = (name) => `HTTP_CLOUDFRONT_VIEWER_${name}`;
  const told = viewer(await from("216.160.83.56", "/seen"));
  const expected = {
    COUNTRY: "US", COUNTRY_NAME: "United States", COUNTRY_REGION: "WA", COUNTRY_REGION_NAME: "Washington", CITY: "Milton",
    LATITUDE: "47.2513", LONGITUDE: "-122.3149", POSTAL_CODE: "98354", METRO_CODE: "819", TIME_ZONE: "America/Los_Angeles",
  };
  const sorted = (fields) => Object.entries(fields).sort(([a], [b]) => a.localeCompare(b));
  report.equal("Rails is told where a client is", sorted(Object.fromEntries(Object.entries(expected).map(([name, value]) => [field(name), value]))), sorted(told));

  const made = { "cloudfront-viewer-country": "FR", "cloudfront_viewer_city": "Paris" };
  report.equal("a client cannot say it itself", {}, viewer(await from("127.0.0.1", "/seen", made)));
  report.equal("a route takes those of a country", ["from the States", "up"], [(await from("216.160.83.56", "/up")).body, (await from("81.2.69.142", "/up")).body]);
  const ages = [];
  for (const client of ["216.160.83.56", "81.2.69.142", "216.160.83.56"]) ages.push((await from(client, "/")).headers["cache-status"]);
  report.holds("each country has its own stored page", !/hit/.test(ages[0]) && !/hit/.test(ages[1]) && /hit/.test(ages[2]), "miss, miss, hit", ages);
}
