// Shows each time in the reader's own zone, and UTC under the pointer. Without script all times are UTC.
// Figures are kept by days and hours of UTC, so charts and tables of them stay as they are.
"use strict";

(function () {
  // As the server writes dates: in English the day first.
  const spoken = document.documentElement.lang;
  const wanted = spoken === "en" ? "en-GB" : spoken;
  const hours = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const clock = new Intl.DateTimeFormat(wanted, hours);
  const short = new Intl.DateTimeFormat(wanted, Object.assign({ day: "numeric", month: "short" }, hours));
  const whole = new Intl.DateTimeFormat(wanted, Object.assign({ day: "numeric", month: "short", year: "numeric" }, hours));
  const utc = new Intl.DateTimeFormat(wanted, Object.assign({ day: "numeric", month: "short", year: "numeric", timeZone: "UTC", timeZoneName: "short" }, hours));
  const day = new Intl.DateTimeFormat(wanted, { day: "numeric", month: "long", year: "numeric" });

  function tell(place) {
    place.querySelectorAll("time[datetime]:not([title])").forEach(function (time) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.valueOf())) {
        return;
      }
      const list = time.closest(".timeline");
      const form = list === null ? whole : list.classList.contains("dated") ? short : clock;
      time.title = utc.format(at);
      time.textContent = form.format(at);
    });
  }

  // A list under heads of days: those of UTC go, and those of the reader's zone take their place.
  function head(list) {
    list.querySelectorAll("li.day").forEach(function (each) {
      each.remove();
    });
    let last = "";
    list.querySelectorAll("li > time[datetime]").forEach(function (time) {
      const at = new Date(time.dateTime);
      const name = Number.isNaN(at.valueOf()) ? last : day.format(at);
      if (name !== last) {
        const made = document.createElement("li");
        made.className = "day";
        made.textContent = name;
        time.parentElement.before(made);
        last = name;
      }
    });
  }

  tell(document);
  document.querySelectorAll(".timeline").forEach(function (list) {
    if (list.querySelector("li.day") !== null) {
      head(list);
    }
  });
  const zone = document.getElementById("zone");
  const name = clock.resolvedOptions().timeZone;
  if (zone && name !== "UTC") {
    zone.textContent = zone.dataset.local.replace("{zone}", name);
  }
  const live = document.getElementById("events");
  if (live) {
    new MutationObserver(function () {
      tell(live);
    }).observe(live, { childList: true, subtree: true });
  }
})();
