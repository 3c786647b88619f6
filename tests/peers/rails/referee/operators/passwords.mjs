// Passwords before an application that has none for its visitors.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { Edge } from "../edge.mjs";
import { fetchRaw, isHit } from "../http.mjs";

const HASH = 'require "bcrypt"; print BCrypt::Password.create(ARGV.fetch(0), cost: 5)';

export async function judge(report, stage) {
  const password = crypto.randomUUID();
  const hash = execFileSync("ruby", ["-e", HASH, password], { timeout: 20_000 });
  writeFileSync(`${stage.server.folder}/tmp/users`, `ada:${hash}\n`);
  const edge = await Edge.start(stage, { name: "passwords", route: ['basic_auth = { users = "users", realm = "staging" }'] });
  const ask = (path, secret) => {
    const headers = secret ? { authorization: `Basic ${btoa(`ada:${secret}`)}` } : {};
    return fetchRaw(edge.url + path, { headers });
  };
  try {
    const nobody = await ask("/");
    report.equal("nobody comes in without one", [401, true], [nobody.status, nobody.headers["www-authenticate"]?.includes('realm="staging"')]);
    report.equal("nor with a wrong one", 401, (await ask("/", "guess")).status);
    report.equal("Rails has not been asked", "", edge.relay.sent());
    const inside = await ask("/seen", password);
    report.equal("with the right one one is in", 200, inside.status);
    report.equal("which Rails is not shown", null, JSON.parse(inside.body).authorization);
    const [style] = (await ask("/session/new", password)).body.match(/\/assets\/[\w-]+\.css/);
    await ask(style, password);
    const again = await ask(style, password);
    report.holds("what is stored is shared by all who may come in", isHit(again.headers), "a hit", again.headers);
    report.equal("and closed to all others", 401, (await ask(style)).status);
  } finally {
    await edge.end();
  }
}
