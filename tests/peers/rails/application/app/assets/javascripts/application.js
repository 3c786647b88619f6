// Speaks ActionCable's own protocol (`actioncable-v1-json`) on the browser's WebSocket.
function openChat() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const identifier = JSON.stringify({ channel: "ChatChannel" });
  const socket = new WebSocket(`${scheme}://${location.host}/cable`, ["actioncable-v1-json"]);
  const state = document.getElementById("state");

  socket.addEventListener("message", (event) => {
    const { type, message } = JSON.parse(event.data);
    if (type === "welcome") socket.send(JSON.stringify({ command: "subscribe", identifier }));
    if (type === "confirm_subscription") state.textContent = "open";
    if (type === undefined && message) show(message);
  });
  socket.addEventListener("close", () => { state.textContent = "closed"; });

  document.getElementById("speak").addEventListener("submit", (event) => {
    event.preventDefault();
    const data = JSON.stringify({ action: "speak", text: event.target.elements.text.value });
    socket.send(JSON.stringify({ command: "message", identifier, data }));
  });
}

function show({ from, text }) {
  const line = document.createElement("li");
  line.textContent = `${from}: ${text}`;
  document.getElementById("messages").append(line);
}

if (document.getElementById("messages")) openChat();
