// A page that must be waited for: the next browser that opens it is told of its files before Rails answers.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Edge } from "../edge.mjs";

export const needsForebay = true;

export async function judge(report, stage) {
  const { folder } = stage.server;
  const [chain, key] = [`${folder}/tmp/chain.pem`, `${folder}/tmp/key.pem`];
  await promisify(execFile)("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", chain,
  ], { timeout: 20_000 });
  const listen = (port) => `on = ["https://127.0.0.1:${port}"]\ncertificates = [{ chain = "${chain}", key = "${key}" }]`;
  const edge = await Edge.start(stage, { name: "hints", route: ['early_hints = "make"'], listen });
  try {
    const url = `https://127.0.0.1:${edge.port}/session/new`;
    report.equal("the first who opens a page is told nothing", false, await isTold(stage, "first", url));
    // Rails declares this page private: of what it links to, only the application's own files are told.
    report.equal("the second is told before the answer comes", true, await isTold(stage, "second", url));
  } finally {
    await edge.end();
  }
}

/** What the browser itself says. It loads nothing early under a certificate that nobody vouches for. */
async function isTold(stage, name, url) {
  const page = await stage.browser.person(name);
  await page.trustAnyone();
  await page.visit(url);
  const { hint, answer } = await page.evaluate(`(() => {
    const [navigation] = performance.getEntriesByType("navigation");
    return { hint: navigation.firstInterimResponseStart, answer: navigation.finalResponseHeadersStart };
  })()`);
  return hint > 0 && hint < answer;
}
