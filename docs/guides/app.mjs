// The application of the guides: node app.mjs. It listens on PORT, or on 3000.
import http from "node:http";

const port = process.env.PORT ?? 3000;

const pages = {
  // The same for everybody: shared for 10 s, served stale for 30 s more while it is
  // fetched anew, and for a day when this application is down.
  "/": ["public, s-maxage=10, stale-while-revalidate=30, stale-if-error=86400", "the front page"],
  // For one user.
  "/account": ["private", "your account"],
  // Says nothing about caching.
  "/silent": [null, "a page without a word"],
  // The name changes with the content.
  "/assets/app-5f3a.css": ["public, max-age=31536000, immutable", "body { color: teal }"],
  "/slow": ["no-store", "that took three seconds"],
  "/up": ["no-store", "ok"],
};

const server = http.createServer((request, answer) => {
  const [keep, text] = pages[request.url.split("?")[0]] ?? [];
  answer.setHeader("Content-Type", "text/plain; charset=utf-8");
  if (!text) return answer.writeHead(404).end("no such page\n");
  if (keep) answer.setHeader("Cache-Control", keep);
  const send = () => answer.end(`${text}, made ${new Date().toISOString()} on ${port}\n`);
  setTimeout(send, request.url === "/slow" ? 3000 : 0);
});

server.listen(port);
// Told to go, it takes nothing new and ends what it has begun.
process.on("SIGTERM", () => server.close());
