// Inserts new events above the others, once a second. What one reads stays where it is: rows are never
// replaced, and while the page is scrolled or paused new ones wait behind a button. The server renders each row.
"use strict";

(function () {
  const pause = 1000; // milliseconds
  const most = 500; // rows kept on the page
  const place = document.getElementById("events");
  const list = place.querySelector("ol");
  const state = document.getElementById("state");
  const stop = document.getElementById("pause");
  const fresh = document.getElementById("fresh");
  const words = JSON.parse(place.dataset.words);
  const waiting = [];
  let mark = place.dataset.mark;
  let paused = false;

  function say(text, good) {
    if (state.textContent !== text) {
      state.textContent = text;
    }
    state.classList.toggle("off", !good);
  }

  function known(id) {
    return Array.from(list.querySelectorAll("time")).length > 0 && list.querySelector('[data-id="' + CSS.escape(id) + '"]') !== null;
  }

  function show() {
    const nothing = document.getElementById("nothing");
    if (nothing && waiting.length > 0) {
      nothing.remove();
    }
    while (waiting.length > 0) {
      const row = waiting.shift();
      if (!known(row.dataset.id)) {
        row.classList.add("new");
        list.prepend(row);
      }
    }
    while (list.children.length > most) {
      list.lastElementChild.remove();
    }
    fresh.hidden = true;
  }

  async function look() {
    try {
      if (!document.hidden) {
        const answer = await fetch(place.dataset.source + "?after=" + encodeURIComponent(mark), { cache: "no-store" });
        if (answer.status === 401) {
          say(words.signed_out, false);
          return;
        }
        if (!answer.ok) {
          throw new Error(answer.status);
        }
        const came = await answer.json();
        mark = came.mark;
        if (came.count > 0) {
          const rows = new DOMParser().parseFromString(came.rows, "text/html").querySelectorAll("li[data-id]");
          waiting.push(...Array.from(rows).reverse());
        }
        if (waiting.length > 0) {
          if (!paused && window.scrollY < 200) {
            show();
          } else {
            fresh.hidden = false;
            fresh.textContent = waiting.length === 1 ? words.one : words.many.replace("%", waiting.length);
          }
        }
        say(paused ? words.paused : words.live, true);
      }
    } catch (error) {
      say(words.unreachable, false);
    }
    setTimeout(look, pause);
  }

  stop.hidden = false;
  stop.addEventListener("click", function () {
    paused = !paused;
    stop.textContent = paused ? words.go_on : words.pause;
    if (!paused) {
      show();
    }
  });
  fresh.addEventListener("click", function () {
    window.scrollTo(0, 0);
    show();
  });
  say(words.live, true);
  setTimeout(look, pause);
})();
