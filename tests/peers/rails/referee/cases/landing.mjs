// A page that is the same for every anonymous visitor comes from the cache.
import { fetchRaw, isHit } from "../http.mjs";
import { until } from "../until.mjs";

export async function judge(report, { url, isDirect }) {
  const first = await fetchRaw(`${url}/`);
  report.equal("it is served", 200, first.status);
  report.equal("it sets no cookie", [], first.setCookies);
  report.equal("it carries the application's policy", true, /script-src 'self' 'nonce-/.test(first.headers["content-security-policy"]));
  if (isDirect) return;

  report.holds("every answer says what the cache did", /^Forebay\b/.test(first.headers["cache-status"] ?? ""), "Cache-Status: Forebay…", first.headers);
  const [one, two] = await pairOfHits(url);
  report.equal("two hits are one rendering", rendering(one), rendering(two));
  report.holds("a hit tells its age", /^\d+$/.test(two.headers.age ?? ""), "Age: a number", two.headers);
}

/** The page is fresh for two seconds: a pair that straddles the end of them is no pair, so ask again. */
function pairOfHits(url) {
  return until("two fetches in a row are hits", 10, async () => {
    const pair = [await fetchRaw(`${url}/`), await fetchRaw(`${url}/`)];
    return pair.every(({ headers }) => isHit(headers)) && rendering(pair[0]) === rendering(pair[1]) ? pair : undefined;
  });
}

export const rendering = ({ body }) => /id="rendering">(\w+)</.exec(body)?.[1] ?? null;
