// `forebay reload` cuts nothing: not an answer in flight, not a WebSocket, not one of many small requests.
import { keepAsking } from "../http.mjs";
import { exchange } from "./chat.mjs";

const RELOADS = 5;

export const needsForebay = true;

export async function judge(report, { server, url, alice, bob }) {
  const rails = server.railsPid();
  const slow = await server.slow("during-reload");
  const loops = { "the cached page": keepAsking(`${url}/`), "the page that is never stored": keepAsking(`${url}/up`) };

  for (let round = 1; round <= RELOADS; round++) {
    const { code, said } = await server.reload();
    report.holds(`reload ${round} succeeds`, code === 0, "exit code 0", `exit code ${code}: ${said}`);
  }
  slow.release();
  const { status, body } = await slow.answer;
  report.holds("the answer in flight arrives whole", status === 200 && body === slow.whole, `200 and ${slow.whole.length} bytes`, `${status} and ${body.length} bytes`);
  for (const [what, loop] of Object.entries(loops)) {
    const counts = await loop.stop();
    report.equal(`${what} is served throughout`, { 200: loop.answers.length }, counts);
  }

  await exchange(report, alice, bob, "still there?");
  await exchange(report, bob, alice, "still here");
  report.equal("the application was not restarted", rails, server.railsPid());
}
