// Brings the page up to date: asks once a second whether events came in and, when some did, takes the page's
// parts from a fresh copy. The server renders every row; nothing is built from event data here.
"use strict";

(function () {
  const pause = 1000; // milliseconds
  const events = () => document.getElementById("events");
  const state = document.getElementById("live");
  let mark = events().dataset.mark;

  function say(text, good) {
    if (state.textContent !== text) {
      state.textContent = text;
    }
    state.classList.toggle("off", !good);
  }

  async function look() {
    try {
      if (!document.hidden) {
        const answer = await fetch("/events.json?after=" + encodeURIComponent(mark), { cache: "no-store" });
        if (answer.status === 401) {
          say("signed out: open the address that `smtpapi web --url` prints", false);
          return;
        }
        if (!answer.ok) {
          throw new Error(answer.status);
        }
        if (!mark || (await answer.json()).events.length > 0) {
          await renew();
        }
        say("live", true);
      }
    } catch (error) {
      say("not reachable, trying again", false);
    }
    setTimeout(look, pause);
  }

  async function renew() {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) {
      throw new Error(answer.status);
    }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("events");
    const before = new Set(Array.from(events().querySelectorAll("tr[data-id]"), (row) => row.dataset.id));
    for (const row of fresh.querySelectorAll("tr[data-id]")) {
      row.classList.toggle("new", before.size > 0 && !before.has(row.dataset.id));
    }
    mark = fresh.dataset.mark;
    events().replaceWith(fresh);
  }

  say("live", true);
  setTimeout(look, pause);
})();
