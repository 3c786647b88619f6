// People sign out, and the next one sits down at the same browser.
import { fetchRaw } from "../http.mjs";
import { judgePage } from "./secrets.mjs";
import { signIn } from "./users.mjs";

export async function judge(report, { url, alice, bob }) {
  for (const { page, name } of [alice, bob]) {
    await page.visit(`${url}/account`);
    await page.submit("#sign-out");
    report.equal(`${name} is signed out and sees the landing page`, "/", await page.path());
    await page.visit(`${url}/account`);
    report.equal(`${name}'s account asks to sign in`, ["/session/new", null], [await page.path(), await page.text("#secret")]);
    const { status, body } = await fetchRaw(`${url}/account`, { headers: { cookie: await page.cookies() } });
    report.equal(`${name}'s account is closed to the old browser's cookies`, [303, 302].includes(status) && !body.includes(name), true);
  }

  // Alice's browser now belongs to Bob: from here on, her bytes are foreign to it.
  const [seen, complained] = [alice.page.answers.length, alice.page.complaints.length];
  const guest = { ...bob, page: alice.page, marks: bob.marks };
  await signIn(report, url, guest);
  for (const path of ["/account", "/notes"]) await alice.page.visit(url + path);
  const later = { name: "the shared browser", answers: alice.page.answers.slice(seen), messages: [], complaints: alice.page.complaints.slice(complained) };
  judgePage(report, { page: later, marks: bob.marks }, { name: "alice", marks: alice.marks });
}
