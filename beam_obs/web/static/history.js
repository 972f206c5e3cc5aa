// Draws the columns of a table of runs as curves, which so say what the table says; a click opens the run.
"use strict";

(() => {
  const charts = document.querySelector("[data-charts]");
  const table = charts && document.getElementById(charts.dataset.charts);
  if (!table || !window.uPlot) return;

  const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const FORMATS = {
    count: (value) => value.toLocaleString("en"),
    percent: (value) => `${+value.toPrecision(3)} %`,
    seconds: (value) => (value < 60 ? `${+value.toPrecision(3)} s` : value < 3600 ? `${+(value / 60).toPrecision(3)} min` : `${+(value / 3600).toPrecision(3)} h`),
    microseconds: (value) => (value < 1000 ? `${+value.toPrecision(3)} µs` : value < 1e6 ? `${+(value / 1000).toPrecision(3)} ms` : `${+(value / 1e6).toPrecision(3)} s`),
  };
  const rows = [...table.querySelectorAll("tbody tr")].reverse(); // the oldest at the left
  const valueOf = (row, name) => {
    const text = row.querySelector(`[data-series="${name}"]`)?.dataset.value ?? "";
    return text === "" ? null : Number(text);
  };
  const nameOf = (name) => table.querySelector(`th[data-series="${name}"]`)?.textContent ?? name;
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.className = name;
    charts.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const short = (row) => row.dataset.started.slice(5, 16);

  function draw() {
    for (const place of charts.querySelectorAll("[data-draws]")) {
      place.querySelector(".uplot")?.remove();
      const names = place.dataset.draws.split(" ");
      const format = FORMATS[place.dataset.format];
      const quiet = colour("quiet");
      const line = colour("chart-line");
      const failed = colour("chart-failed");
      const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: `11px ${getComputedStyle(document.body).fontFamily}` };
      const marks = (plot) => {
        const width = Math.max(2, plot.bbox.width / Math.max(rows.length, 1));
        plot.ctx.fillStyle = failed;
        rows.forEach((row, at) => {
          if (!["failed", "lost", "damaged"].includes(row.dataset.status)) return;
          plot.ctx.fillRect(plot.valToPos(at, "x", true) - width / 2, plot.bbox.top, width, plot.bbox.height);
        });
      };
      const plot = new uPlot({
        width: Math.max(place.clientWidth, 200),
        height: 170,
        cursor: { sync: { key: "runs" }, drag: { x: false, y: false } },
        scales: { x: { time: false, range: [-0.5, rows.length - 0.5] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
        axes: [
          { ...axis, space: 90, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500], values: (_, found) => found.map((at) => (rows[at] ? short(rows[at]) : "")) },
          { ...axis, size: 70, space: 32, values: (_, found) => found.map((value) => (place.dataset.format === "count" && value >= 1e6 ? COMPACT.format(value) : format(value))) },
        ],
        series: [
          { label: "run", value: (_, at) => (at === null || !rows[at] ? "–" : `${rows[at].dataset.started} ${rows[at].dataset.status}`) },
          ...names.map((name, at) => ({
            label: nameOf(name),
            stroke: colour(`chart-${place.dataset.colours.split(" ")[at]}`),
            width: 1.5,
            points: { show: rows.length <= 60, size: 5 },
            value: (_, value) => (value === null ? "–" : format(value)),
          })),
        ],
        hooks: { drawClear: [marks] },
      }, [rows.map((_, at) => at), ...names.map((name) => rows.map((row) => valueOf(row, name)))], place);
      plot.over.addEventListener("click", () => {
        const at = plot.cursor.idx;
        if (at !== null && rows[at]) rows[at].querySelector("a[data-run]").click();
      });
    }
  }

  draw();
  let width = charts.clientWidth;
  new ResizeObserver(() => {
    if (charts.clientWidth === width) return;
    width = charts.clientWidth;
    draw();
  }).observe(charts);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
