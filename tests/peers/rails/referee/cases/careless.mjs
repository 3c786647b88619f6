// A page with a session and a CSRF token, declared `public` by mistake, is nobody else's.
import { cookieHeader, fetchRaw, formToken, isHit } from "../http.mjs";

export async function judge(report, { url, alice, bob }) {
  const [one, two] = [await fetchRaw(`${url}/careless`), await fetchRaw(`${url}/careless`)];
  report.equal("it is served", [200, 200], [one.status, two.status]);
  report.holds("an answer that sets a cookie never hits", !isHit(two.headers), "no hit", two.headers);
  report.holds("two visitors are two", visitor(one) !== visitor(two), "two names", [visitor(one), visitor(two)]);
  report.holds("each has a session of their own", one.setCookies.length === 1 && two.setCookies.length === 1 && one.setCookies[0] !== two.setCookies[0],
    "two different cookies", [one.setCookies, two.setCookies]);

  const sent = await tell(url, two, two);
  report.equal("a form with its own token is taken", [200, `thank you, ${visitor(two)}`], [sent.status, sent.body]);
  report.equal("a form with another's token is refused", 422, (await tell(url, one, two)).status);
  report.equal("a form from another site is refused", 422, (await tell(url, two, two, { origin: "http://elsewhere.example" })).status);

  for (const { page, marks } of [alice, bob]) {
    await page.visit(`${url}/careless`);
    marks.push(await page.text("#visitor"));
    await page.submit("#tell");
    report.equal(`${page.name}'s browser is taken for ${page.name}`, `thank you, ${marks.at(-1)}`, await page.text("body"));
  }
}

function tell(url, { body: page }, { setCookies }, { origin = url } = {}) {
  return fetchRaw(`${url}/careless`, {
    method: "POST",
    headers: { cookie: cookieHeader(setCookies), origin, "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ authenticity_token: formToken(page) }).toString(),
  });
}

const visitor = ({ body }) => /id="visitor">(\w+)</.exec(body)?.[1];
