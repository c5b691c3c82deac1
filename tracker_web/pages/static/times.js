// Tells each time in the reader's own zone under the pointer. What stands on the page is UTC, with script or without.
"use strict";

(function () {
  // In the page's language, as the browser's own list has it: an English page is not American for all.
  const spoken = document.documentElement.lang;
  const wanted = navigator.languages.find((each) => each.split("-")[0] === spoken.split("-")[0]) || spoken;
  const form = new Intl.DateTimeFormat(wanted, { dateStyle: "medium", timeStyle: "long" });

  function tell(place) {
    place.querySelectorAll("time[datetime]:not([title])").forEach(function (time) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.valueOf())) {
        time.title = form.format(at);
      }
    });
  }

  tell(document);
  const live = document.getElementById("events");
  if (live) {
    new MutationObserver(function () {
      tell(live);
    }).observe(live, { childList: true, subtree: true });
  }
})();
