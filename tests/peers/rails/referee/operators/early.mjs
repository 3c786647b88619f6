// What Rails tells of a page's files before it answers, and several parts of a file at once.
import { Edge, Relay, origin } from "../edge.mjs";
import { fetchRaw, isHit } from "../http.mjs";

const NAVIGATION = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", accept: "text/html" };

export async function judge(report, stage) {
  const relay = await Relay.start(stage.second);
  const settings = (port) => ["[listen]", `on = ["127.0.0.1:${port}"]`, origin("app", relay), "[[route]]"];
  const edge = await Edge.open(stage, { name: "early", relays: [relay], settings });
  try {
    const page = await fetchRaw(`${edge.url}/session/new`, { headers: NAVIGATION });
    const [style] = page.body.match(/\/assets\/[\w-]+\.css/);
    report.holds("Rails tells of the style before it answers", /^HTTP\/1.1 103 /.test(relay.sent()), "103 from Rails", "none");
    const links = page.hints.map(({ link }) => link).join();
    report.holds("and so does the edge", links.includes(`<${style}>; rel=preload`), `103 with ${style}`, page.hints);
    report.equal("the page comes after it", 200, page.status);
    const [script] = page.body.match(/\/assets\/[\w-]+\.js/);
    await parts(report, edge.url + script);
  } finally {
    await edge.end();
  }
}

async function parts(report, url) {
  const { body: whole } = await fetchRaw(url);
  // Far enough from each other: what lies nearer is sent as one part.
  const { status, headers, body } = await fetchRaw(url, { headers: { range: "bytes=0-3,600-603" } });
  const [, boundary] = /^multipart\/byteranges; boundary="?([^"]+)"?$/.exec(headers["content-type"]) ?? [];
  report.equal("two parts of a file are one answer", [206, true], [status, boundary !== undefined]);
  const pieces = body.split(`--${boundary}`).slice(1, -1).map((piece) => piece.split("\r\n\r\n"));
  report.equal("each says where it belongs", [`bytes 0-3/${whole.length}`, `bytes 600-603/${whole.length}`],
    pieces.map(([head]) => /^content-range: (.*)$/im.exec(head)?.[1].trim()));
  report.equal("and holds just that", [whole.slice(0, 4), whole.slice(600, 604)], pieces.map(([, content]) => content.trimEnd()));
  report.holds("from what is stored", isHit(headers), "a hit", headers);
}
