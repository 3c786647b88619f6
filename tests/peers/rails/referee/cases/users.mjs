// Two people sign in and write, step by step beside each other.

export async function judge(report, { url, alice, bob }) {
  for (const person of [alice, bob]) await signIn(report, url, person);
  for (const person of [alice, bob]) await readSecret(report, url, person);
  for (const round of [1, 2]) for (const person of [alice, bob]) await write(report, url, person, round);
  for (const person of [alice, bob]) await readAgain(report, url, person);

  const [one, two] = [await nonceOf(alice, url), await nonceOf(bob, url)];
  report.holds("every private page has a nonce of its own", one && two && one !== two, "two nonces", [one, two]);
}

export async function signIn(report, url, { page, name, password, marks }) {
  await page.visit(`${url}/session/new`);
  await page.submit("#sign-in", { name, password });
  report.equal(`${name} signs in`, ["/account", name, marks[0]], [await page.path(), await page.text("#signed-in"), await page.text("#secret")]);
  report.equal(`${name}'s page runs the script that its nonce allows`, "ran", await page.evaluate("document.documentElement.dataset.nonce"));
}

async function readSecret(report, url, { page, name, marks }) {
  report.equal(`${name}'s file holds ${name}'s bytes`, marks[0], await page.fetchInside("/account/secret"));
}

async function write(report, url, { page, name, marks }, round) {
  const text = `${name}-note-${round}-${crypto.randomUUID()}`;
  await page.visit(`${url}/notes`);
  await page.submit("#write", { text });
  report.equal(`${name}'s note ${round} is pinned`, ["/notes", text], [await page.path(), await page.text("#notes li:last-child")]);
  marks.push(text);
}

async function readAgain(report, url, { page, name, marks }) {
  await page.visit(`${url}/notes`);
  const written = marks.filter((mark) => mark.includes("-note-"));
  report.equal(`${name} finds ${name}'s notes and no others`, written,
    await page.evaluate(`[...document.querySelectorAll("#notes li")].map((line) => line.textContent)`));
}

async function nonceOf({ page }, url) {
  await page.visit(`${url}/account`);
  const { headers, body } = page.answers.findLast((answer) => answer.url === `${url}/account` && answer.status === 200);
  const nonce = /'nonce-([^']+)'/.exec(headers["content-security-policy"])?.[1];
  return nonce && body.includes(`nonce="${nonce}"`) ? nonce : undefined;
}
