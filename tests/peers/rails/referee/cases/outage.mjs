// Rails is killed, first so that it comes back, then so that it cannot: the anonymous page stays, and nobody gets what is not theirs.
import { fetchRaw, keepAsking } from "../http.mjs";
import { isAlive } from "../server.mjs";
import { until } from "../until.mjs";
import { rendering } from "./landing.mjs";

const FRESH_SECONDS = 2;
const BACK_SECONDS = 60;

export const needsForebay = true;

export async function judge(report, { server, url, bob }) {
  await killed(report, server, url);
  await unableToStart(report, server, url, bob);
  await bob.page.visit(`${url}/account`);
  report.equal("bob is still signed in when it is back", bob.marks[0], await bob.page.text("#secret"));
}

async function killed(report, server, url) {
  const before = server.railsPid();
  const landing = await fill(url);
  process.kill(before, "SIGKILL");
  await backUp(server, before);
  const counts = await landing.stop();
  report.equal("killed: the landing page answers until Rails is back", { 200: landing.answers.length }, counts);
}

async function unableToStart(report, server, url, bob) {
  const before = server.railsPid();
  const landing = await fill(url);
  const broken = server.breakApplication();
  process.kill(before, "SIGKILL");

  const isStale = ({ status, headers }) => status !== 200 || Number(headers.age) > FRESH_SECONDS;
  const stale = await until("the landing page is stale", 20, () => landing.answers.slice(-50).find(isStale));
  report.equal("down: the landing page is served stale", 200, stale.status);
  report.holds("down: it says so", /^Forebay\b.*\bhit\b/i.test(stale.headers["cache-status"] ?? ""), "Cache-Status: Forebay; hit…", stale.headers);
  report.holds("down: it is what Rails rendered last", rendering(stale) !== null, "a rendering", stale.body);

  const cookie = await bob.page.cookies();
  for (const path of ["/up", "/account", "/notes", "/careless"]) {
    const { status, body } = await fetchRaw(url + path, { headers: { cookie } });
    report.holds(`down: ${path} is an honest error`, [502, 503, 504].includes(status) && !bob.marks.some((mark) => body.includes(mark)), "502, 503 or 504", `${status} ${body}`);
  }

  broken.mend();
  await backUp(server, before);
  const counts = await landing.stop();
  report.equal("down: the landing page answers until Rails is back", { 200: landing.answers.length }, counts);
}

/** Asks for the landing page from now on; it is in the cache when this returns. */
async function fill(url) {
  const landing = keepAsking(`${url}/`);
  await until("the landing page was served", 20, () => landing.answers.length > 0);
  return landing;
}

async function backUp(server, before) {
  await until("the killed process is gone", 10, () => !isAlive(before));
  await until("Rails is back", BACK_SECONDS, () => server.isUp());
}
