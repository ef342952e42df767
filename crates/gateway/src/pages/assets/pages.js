// Three small things that pages work without: live parts, parts that take a while, copying.
"use strict";

// Live parts: the server sends the HTML of elements by their ids. Nobody looks at a hidden page.
const live = document.querySelector("[data-events]");
if (live) {
  let source = null;
  const show = (event) => {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const part = document.getElementById(id);
      if (part) part.innerHTML = html;
    }
  };
  const follow = () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      source = new EventSource(live.dataset.events);
      source.addEventListener("parts", show);
    }
  };
  document.addEventListener("visibilitychange", follow);
  window.addEventListener("pagehide", () => source?.close());
  follow();
}

// Parts that others have to be asked for.
for (const part of document.querySelectorAll("[data-load]")) {
  fetch(part.dataset.load)
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(answer.status)))
    .then((html) => { part.innerHTML = html; })
    .catch(() => { part.textContent = "Not known now. Load the page again to ask again."; })
    .finally(() => part.removeAttribute("aria-busy"));
}

// Copying.
if (navigator.clipboard) {
  for (const code of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(code.dataset.copy || code.textContent.trim()).then(() => {
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    });
    code.after(button);
  }
}
