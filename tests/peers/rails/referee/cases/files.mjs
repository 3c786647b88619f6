// Files that Rails names in place of sending them: they come from the edge, with the fields of Rails.
import { mkdirSync, writeFileSync } from "node:fs";
import { Edge } from "../edge.mjs";
import { fetchRaw } from "../http.mjs";

const LINE = "a line of the report that only its file holds\n";

export const needsForebay = true;

export async function judge(report, stage) {
  const { folder } = stage.server;
  const content = LINE.repeat(5000);
  mkdirSync(`${folder}/files`, { recursive: true });
  writeFileSync(`${folder}/files/report.csv`, content);

  const plain = await fetchRaw(`${stage.url}/downloads/report`);
  report.equal("without the setting Rails sends the file itself", [200, content.length], [plain.status, plain.body.length]);

  const route = [`sendfile = { "/protected/" = "${folder}/files", "/public/" = "${folder}/public" }`];
  const edge = await Edge.start(stage, { name: "files", route });
  try {
    await laws(report, `http://127.0.0.1:${edge.port}`, edge.relay, content, plain);
  } finally {
    await edge.end();
  }
}

async function laws(report, url, relay, content, plain) {
  const { status, headers, setCookies, body } = await fetchRaw(`${url}/downloads/report`);
  const sent = relay.sent();
  report.equal("the file arrives whole", [200, true], [status, body === content]);
  report.holds("Rails names it", /^x-accel-redirect: \/protected\/report\.csv\r$/im.test(sent), "X-Accel-Redirect: /protected/report.csv", sent);
  report.holds("Rails sends nothing of it", !sent.includes(LINE.trim()), "no line of the file", sent.slice(0, 2000));
  for (const name of ["content-type", "content-disposition", "cache-control"]) {
    report.equal(`${name} is that of Rails`, plain.headers[name], headers[name]);
  }
  report.holds("its cookie is set", setCookies.some((line) => line.startsWith("downloaded=report")), "downloaded=report", setCookies);
  report.holds("where the file lies is not told", !("x-accel-redirect" in headers), "no X-Accel-Redirect", headers);

  const part = await fetchRaw(`${url}/downloads/report`, { headers: { Range: "bytes=2-5" } });
  report.equal("a part of it is served", [206, content.slice(2, 6)], [part.status, part.body]);
  const other = await fetchRaw(`${url}/downloads/other`);
  report.equal("Rails says who may not have it", [403, ""], [other.status, other.body]);

  // With the header set, Rack names the files of `public` too.
  const page = await fetchRaw(`${url}/session/new`);
  const [path] = page.body.match(/\/assets\/[\w-]+\.css/) ?? [];
  relay.sent();
  const style = await fetchRaw(url + path);
  const named = relay.sent();
  report.equal("a stylesheet is served", [200, "public, max-age=31536000, immutable"], [style.status, style.headers["cache-control"]]);
  report.holds("it comes from the edge as well", style.body.length > 0 && !named.includes(style.body.slice(0, 40)), "no content from Rails", named);
}
