// Fingerprinted files come from the cache, for a plain client and for browsers.
import { fetchRaw, isHit } from "../http.mjs";

export async function judge(report, { url, isDirect, alice, bob }) {
  const { body } = await fetchRaw(`${url}/session/new`);
  const paths = [...new Set(body.match(/\/assets\/[\w-]+\.(?:css|js|svg)/g))];
  report.equal("the page names its files", [".css", ".js", ".svg"], paths.map((path) => path.replace(/^.*\./, ".")).sort());

  for (const path of paths) {
    const kind = path.replace(/^.*\./, "");
    const first = await fetchRaw(url + path);
    const second = await fetchRaw(url + path);
    report.equal(`${kind} is served`, [200, 200], [first.status, second.status]);
    report.equal(`${kind} keeps the application's grant`, "public, max-age=31536000, immutable", second.headers["cache-control"]);
    report.equal(`${kind} is the same twice`, first.body, second.body);
    if (!isDirect) report.holds(`${kind} hits on the second fetch`, isHit(second.headers), "Cache-Status: Forebay; hit…", second.headers);
  }

  await alice.page.visit(`${url}/`);
  await bob.page.visit(`${url}/`);
  const seen = bob.page.answers.filter((answer) => answer.url.includes("/assets/"));
  report.holds("the second browser gets the landing page's files", seen.length >= 2 && seen.every(({ status }) => status === 200), "200 for each", seen.map(({ url, status }) => [url, status]));
  if (isDirect) return;
  for (const { url: file, headers } of seen) {
    report.holds(`the second browser's ${file.replace(/^.*\./, "")} is a hit`, isHit(headers), "Cache-Status: Forebay; hit…", headers);
  }
}
