// Live updates of the page that is open. Replaces text and pictures in elements marked `data-live`, never forms.
// Without this module every page still shows what it showed when it was asked for.

const button = document.querySelector(".pulse");
const elements = new Map([...document.querySelectorAll("[data-live]")].map((element) => [element.dataset.live, element]));
const waiting = new Map();

let events = null;
let paused = false;
let pressed = false;

const say = (state, word) => {
  button.dataset.state = state;
  button.querySelector("b").textContent = word;
  button.setAttribute("aria-pressed", String(paused));
  button.title = paused ? "Go on with live updates" : "Hold the page still";
};

// A click is lost when its target is replaced between press and release, and so is a selection.
const busy = (element) => {
  const selection = getSelection();
  const selecting = !selection.isCollapsed && selection.containsNode(element, true);
  return pressed || selecting;
};

// Where the reader's focus and sideways scrolling were, they are again after the replacement.
const replace = (element, markup) => {
  const focused = element.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const scrolled = [...element.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  element.innerHTML = markup;
  element.querySelectorAll(".scroll").forEach((box, index) => { box.scrollLeft = scrolled[index] ?? 0; });
  if (focused) element.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
};

const show = () => {
  for (const [id, markup] of waiting) {
    const element = elements.get(id);
    if (element && busy(element)) continue;
    if (element) replace(element, markup);
    waiting.delete(id);
  }
};

const receive = (event) => {
  say("live", "live");
  for (const [id, markup] of Object.entries(JSON.parse(event.data))) waiting.set(id, markup);
  show();
};

const open = () => {
  if (events || paused || document.hidden || elements.size === 0) return;
  events = new EventSource(`/events?page=${encodeURIComponent(document.body.dataset.page)}`);
  events.onmessage = receive;
  // The browser tries again by itself unless the answer was a refusal.
  events.onerror = () => {
    say("lost", "offline");
    if (events?.readyState === EventSource.CLOSED) {
      close();
      setTimeout(open, 5000);
    }
  };
};

const close = () => {
  events?.close();
  events = null;
};

addEventListener("pointerdown", () => { pressed = true; });
addEventListener("pointerup", () => setTimeout(() => { pressed = false; }));
addEventListener("pointercancel", () => { pressed = false; });
document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
addEventListener("pagehide", close);
addEventListener("pageshow", open);

if (elements.size > 0) {
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    if (paused) close();
    say(paused ? "paused" : "live", paused ? "paused" : "live");
    open();
  });
  say("live", "live");
  open();
}

// Mistakes of a query's text, once the writer rests. Without this module the button "Check" shows the same.
const text = document.querySelector("textarea[data-check]");

if (text) {
  const mistakes = document.getElementById("sql-mistakes");
  const REST_MS = 400;
  let resting = null;
  let asked = 0;

  const check = async () => {
    const turn = ++asked;
    const answer = await fetch(text.dataset.check, { method: "POST", body: new URLSearchParams({ sql: text.value }) }).catch(() => null);
    // An answer to what the text was before says nothing of what it is.
    if (answer?.ok && turn === asked) mistakes.innerHTML = await answer.text();
  };

  text.addEventListener("input", () => {
    clearTimeout(resting);
    resting = setTimeout(check, REST_MS);
  });

  // A mistake's place leads to it.
  mistakes.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-line]");
    if (!link) return;
    event.preventDefault();
    const before = text.value.split("\n").slice(0, link.dataset.line - 1);
    const place = before.reduce((sum, line) => sum + line.length + 1, 0) + Number(link.dataset.column) - 1;
    text.focus();
    text.setSelectionRange(place, place + 1);
  });
}
