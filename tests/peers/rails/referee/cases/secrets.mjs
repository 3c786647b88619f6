// The heart of the trial: nothing made for one person ever reached another, by whatever way.
import { fetchRaw } from "../http.mjs";

// Of the connection or of one exchange, and none of what an origin may choose an answer by.
const NOT_REPLAYED = /^(:|cookie$|host$|connection$|if-|content-|sec-fetch-dest$)/i;

export async function judge(report, { url, alice, bob }) {
  for (const [reader, other] of [[alice, bob], [bob, alice]]) judgePage(report, reader, other);
  disjoint(report, "session cookies", ({ setCookies }) => setCookies.map((line) => line.split(";")[0]), alice, bob);
  disjoint(report, "CSRF tokens", tokens, alice, bob);

  const strangers = [
    { name: "an anonymous client", cookie: undefined, marks: [] },
    { name: "a client with alice's cookies", cookie: await alice.page.cookies(), marks: alice.marks },
    { name: "a client with bob's cookies", cookie: await bob.page.cookies(), marks: bob.marks },
  ];
  const all = [...alice.marks, ...bob.marks];
  for (const stranger of strangers) await replay(report, url, stranger, all.filter((mark) => !stranger.marks.includes(mark)), [alice, bob]);
}

/** What the browser itself received, also from its own cache and by WebSocket. */
export function judgePage(report, reader, other) {
  const { page, marks } = reader;
  const own = page.answers.filter((answer) => marks.some((mark) => everything(answer).includes(mark)));
  report.holds(`own bytes of ${page.name} were seen, so that the search is a search`, own.length >= 3, "3 or more", own.length);
  const leaked = page.answers.filter((answer) => other.marks.some((mark) => everything(answer).includes(mark)));
  report.equal(`none of ${page.name}'s ${page.answers.length} answers holds a byte of ${other.name}'s`, [], leaked.map(({ url }) => url));
  const heard = page.messages.filter((text) => other.marks.some((mark) => text.includes(mark)));
  report.equal(`none of ${page.name}'s ${page.messages.length} messages does`, [], heard);
  report.equal(`the browser of ${page.name} has nothing to complain of`, [], page.complaints);
}

/** Asks, as somebody else, for all that the browsers asked for, with the same fields but for the cookies. */
async function replay(report, url, { name, cookie }, forbidden, people) {
  const requests = new Map();
  for (const { page } of people) {
    for (const { url: address, method, sent } of page.answers) if (method === "GET" && Object.keys(sent).length > 0) requests.set(address, sent);
  }
  const leaked = [];
  for (const [address, sent] of requests) {
    const headers = Object.fromEntries(Object.entries(sent).filter(([field]) => !NOT_REPLAYED.test(field)));
    headers["accept-encoding"] = "identity";
    const answer = await fetchRaw(address, { headers: cookie ? { ...headers, cookie } : headers });
    if (forbidden.some((mark) => everything(answer).includes(mark))) leaked.push(address);
  }
  report.holds(`${name} asks for all that was seen`, requests.size >= 8, "8 or more addresses", [...requests.keys()]);
  report.equal(`${name} receives nobody else's bytes`, [], leaked);
}

function disjoint(report, what, of, alice, bob) {
  const [one, two] = [of(alice.page), of(bob.page)];
  report.holds(`${what} were seen`, one.length > 0 && two.length > 0, "some for each", [one.length, two.length]);
  report.equal(`${what} were never given twice`, [], one.filter((value) => two.includes(value)));
}

const tokens = ({ answers }) => answers.flatMap(({ body }) => [...body.matchAll(/(?:name="authenticity_token" value|name="csrf-token" content)="([^"]+)"/g)].map(([, token]) => token));

const everything = ({ body, headers }) => body + JSON.stringify(headers);
