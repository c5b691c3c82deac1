// Adds zoom and hover to series that the server has drawn. Without it, or without script, the drawing stays.
// The drawing and the table below it are what assistive programs read; this one is for the eye and the pointer alone.
"use strict";

(function () {
  const plots = [];
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
  const parts = { month: { month: "short", year: "numeric" }, day: { day: "numeric", month: "short" }, hour: { hour: "2-digit", minute: "2-digit" } };
  const whole = {
    month: { month: "long", year: "numeric" },
    day: { day: "numeric", month: "short", year: "numeric" },
    hour: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }
  };

  function labels(of, precision) {
    const form = new Intl.DateTimeFormat(language, Object.assign({ timeZone: "UTC", hourCycle: "h23" }, of[precision]));
    return function (seconds) { return form.format(new Date(seconds * 1000)); };
  }

  function grouped(number) {
    return number === null || number === undefined ? "\u2013" : String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  }

  function options(told, width, figure) {
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--soft"), grid: grid, ticks: grid, font: "12px system-ui, sans-serif" };
    const short = labels(parts, told.precision);
    const long = labels(whole, told.precision);
    return {
      width: width,
      height: 260,
      tzDate: function (seconds) {
        return uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
      },
      cursor: { drag: { x: true, y: false }, points: { size: 7 } },
      legend: { live: true },
      scales: { x: { time: true }, y: { range: function (_plot, _low, high) { return [0, Math.max(1, high * 1.05)]; } } },
      axes: [
        Object.assign({}, axis, {
          space: 90,
          incrs: told.precision === "hour" ? [3600, 10800, 21600, 43200, 86400] : [1, 2, 5, 7, 14, 28, 56, 112, 364, 728].map(function (days) { return days * 86400; }),
          values: function (_plot, marks) { return marks.map(short); }
        }),
        Object.assign({}, axis, {
          size: 56,
          incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1e3, 2e3, 2500, 5e3, 1e4, 2e4, 25e3, 5e4, 1e5, 25e4, 5e5, 1e6, 1e7],
          values: function (_plot, marks) { return marks.map(grouped); }
        })
      ],
      series: [{ label: figure.dataset.time, value: function (_plot, each) { return each === null ? figure.dataset.hint : long(each); } }].concat(
        told.lines.map(function (line) {
          const ink = colour("--" + (line.css === "before" ? "machine" : line.css));
          return {
            label: line.name,
            stroke: ink,
            width: 2,
            dash: line.css === "before" ? [4, 4] : [],
            points: { show: told.at.length < 63, size: 5, fill: ink },
            value: function (_plot, each) { return grouped(each); }
          };
        })
      )
    };
  }

  function draw(figure) {
    const told = JSON.parse(figure.dataset.series);
    const drawing = figure.querySelector("svg.chart");
    if (!drawing || told.at.length < 2) {
      return null;
    }
    const place = document.createElement("div");
    place.className = "plot";
    place.setAttribute("aria-hidden", "true");
    const data = [told.at].concat(told.lines.map(function (line) { return line.values; }));
    const plot = new uPlot(options(told, drawing.getBoundingClientRect().width, figure), data, place);
    const all = document.createElement("button");
    all.type = "button";
    all.className = "quiet whole";
    all.textContent = figure.dataset.whole;
    all.hidden = true;
    all.addEventListener("click", function () {
      plot.setScale("x", { min: told.at[0], max: told.at[told.at.length - 1] });
    });
    plot.hooks.setScale = [function (_plot, key) {
      if (key === "x") {
        all.hidden = plot.scales.x.min <= told.at[0] && plot.scales.x.max >= told.at[told.at.length - 1];
      }
    }];
    figure.insertBefore(place, drawing);
    figure.insertBefore(all, place);
    figure.classList.add("plotted");
    return { figure: figure, plot: plot, place: place, all: all };
  }

  function begin() {
    document.querySelectorAll("figure[data-series]").forEach(function (figure) {
      const made = draw(figure);
      if (made) {
        plots.push(made);
      }
    });
  }

  function again() {
    plots.splice(0).forEach(function (each) {
      each.plot.destroy();
      each.place.remove();
      each.all.remove();
      each.figure.classList.remove("plotted");
    });
    begin();
  }

  begin();
  dark.addEventListener("change", again);
  let waiting = 0;
  addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(again, 150);
  });
  addEventListener("beforeprint", function () {
    plots.forEach(function (each) { each.figure.classList.remove("plotted"); });
  });
  addEventListener("afterprint", again);
})();
