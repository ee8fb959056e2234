// The live parts of a page: the server draws them anew, and each part that has changed is put in place.
// A part in which somebody has the focus waits until they have left it. Without this script the page is the same, and stands still.
(() => {
  const region = document.getElementById("live");
  const state = document.getElementById("live-state");
  if (!region || !window.EventSource) return;
  const say = (word, text) => {
    if (state.textContent !== text) state.textContent = text;
    state.dataset.state = word;
  };
  const draw = (event) => {
    say("on", "live");
    const drawn = new DOMParser().parseFromString(event.data, "text/html");
    const parts = [...drawn.querySelectorAll("[data-part]")];
    const there = [...region.querySelectorAll("[data-part]")];
    const names = (list) => list.map((part) => part.dataset.part).join();
    if (names(parts) !== names(there)) {
      region.replaceChildren(...drawn.body.childNodes);
      return;
    }
    parts.forEach((part, at) => {
      const held = there[at].contains(document.activeElement) && document.activeElement.matches("a, button, input, select");
      if (!held && !there[at].isEqualNode(part)) there[at].replaceWith(part);
    });
  };
  let source = null;
  const listen = () => {
    source = new EventSource(region.dataset.events);
    source.addEventListener("open", () => say("on", "live"));
    source.addEventListener("draw", draw);
    source.addEventListener("over", (event) => {
      source.close();
      say("off", event.data);
    });
    source.addEventListener("error", () => {
      const over = source.readyState === EventSource.CLOSED;
      say("off", over ? "not live: load the page again" : "not live: trying again");
    });
  };
  // A browser has a few connections to a server: a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => {
    source?.close();
    if (!document.hidden) listen();
  });
  listen();
})();
