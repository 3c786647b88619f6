// ActionCable: what one browser says, the other hears.

export async function judge(report, { url, alice, bob }) {
  for (const { page } of [alice, bob]) {
    await page.visit(`${url}/chat`);
    await page.until("an open connection", `document.getElementById("state").textContent === "open"`);
  }
  await exchange(report, alice, bob, "good morning");
  await exchange(report, bob, alice, "good evening");
}

export async function exchange(report, speaker, listener, words) {
  const line = `${speaker.name}: ${words}`;
  await speaker.page.press("#speak", { text: words });
  const heard = `document.querySelector("#messages li:last-child")?.textContent === ${JSON.stringify(line)}`;
  const state = await listener.page.until(line, heard).then(() => line, async () => listener.page.text("#messages"));
  report.equal(`${listener.name} hears "${line}"`, line, state);
}
