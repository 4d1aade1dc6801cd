// A run's page while it lasts: its news by server-sent events, its curves from the table of steps.
"use strict";

(() => {
  const page = document.getElementById("run");
  if (!page) return;
  const part = (id) => document.getElementById(id);
  const MOST_LINES = 500, MOST_ROWS = 400;
  const table = part("steps"), log = part("log"), connection = part("connection");

  // The steps: read from the table, so that it and the curves never differ.
  let columns = [...table.tHead.rows[0].cells].map((cell) => [cell.dataset.key, cell.textContent]);
  let data = columns.map(() => []);
  const number = (text) => (text === "" ? null : Number(text));
  for (const row of table.tBodies[0].rows) {
    columns.forEach((_, at) => data[at].push(number(row.cells[at].textContent)));
  }

  const charts = new Map();
  const digits = new Intl.NumberFormat(document.documentElement.lang, { maximumSignificantDigits: 4 });
  const compact = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact" });
  const short = (tick) => (Math.abs(tick) < 1e5 ? digits : compact).format(tick); // bytes beside an axis
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function makeChart(key, label) {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    caption.textContent = label;
    figure.append(caption);
    part("charts").append(figure);
    const line = { stroke: colour("--line"), width: 0.5 };
    const axis = { stroke: colour("--soft"), grid: line, ticks: line, space: 56 };
    const chart = new uPlot(
      {
        width: figure.clientWidth || 300, height: 220, legend: { live: true },
        scales: { x: { time: false } },
        series: [{ label: columns[0][1] }, { label, stroke: colour("--main"), width: 1.5, spanGaps: true }],
        axes: [axis, { ...axis, size: 72, space: 36, values: (_, ticks) => ticks.map(short) }],
      },
      [[], []],
      figure,
    );
    new ResizeObserver(() => chart.setSize({ width: figure.clientWidth, height: 220 })).observe(figure);
    charts.set(key, chart);
    return chart;
  }

  function draw() {
    columns.slice(1).forEach(([key, label], at) => {
      if (data[at + 1].some((value) => value !== null)) {
        (charts.get(key) || makeChart(key, label)).setData([data[0], data[at + 1]]);
      }
    });
    const some = data[0].length > 0;
    part("no-steps").hidden = some;
    part("steps-details").hidden = !some;
  }

  function addColumn(key, label) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.dataset.key = key;
    cell.textContent = label;
    table.tHead.rows[0].append(cell);
    for (const row of table.tBodies[0].rows) row.insertCell();
    columns.push([key, label]);
    data.push(data[0].map(() => null));
  }

  function addSteps(news) {
    if (news.anew) {
      data = columns.map(() => []);
      table.tBodies[0].replaceChildren();
    }
    for (const [key, label] of news.columns) {
      if (!columns.some(([known]) => known === key)) addColumn(key, label);
    }
    const keys = ["step", ...news.columns.map(([key]) => key)];
    for (const cells of news.rows) {
      const row = table.tBodies[0].insertRow();
      columns.forEach(([key], at) => {
        const text = cells[keys.indexOf(key)] ?? "";
        row.insertCell().textContent = text;
        data[at].push(number(text));
      });
    }
    while (table.tBodies[0].rows.length > MOST_ROWS) table.tBodies[0].deleteRow(0);
    if (news.anew || news.rows.length) draw();
  }

  function addLog(pieces) {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    for (const [text, anew] of pieces) {
      const whole = (anew ? "" : log.textContent) + text;
      const lines = whole.split("\n");
      log.textContent = lines.length > MOST_LINES ? lines.slice(-MOST_LINES).join("\n") : whole;
    }
    if (pieces.length && atEnd) log.scrollTop = log.scrollHeight;
  }

  // What the server sends is escaped by its templates, and the policy of the page runs no script within.
  const setHtml = (element, html) => {
    if (element.innerHTML !== html) element.innerHTML = html;
  };

  function take(news) {
    setHtml(part("state"), news.state);
    setHtml(part("figures"), news.figures);
    part("events").insertAdjacentHTML("beforeend", news.events);
    addSteps(news);
    addLog(news.log);
    if (news.receipt) {
      setHtml(part("receipt"), news.receipt);
      part("receipt").hidden = false;
    }
    if (news.actions) setHtml(part("actions"), news.actions);
  }

  // The place that was reached is kept here: a source that was closed for good comes back to it, too.
  const stream = page.dataset.stream && new URL(page.dataset.stream, location.href);
  let source = null, again = 0;

  function connect() {
    source = new EventSource(stream);
    source.addEventListener("open", () => { connection.hidden = true; });
    source.addEventListener("news", (event) => {
      stream.searchParams.set("from", event.lastEventId);
      const news = JSON.parse(event.data);
      take(news);
      if (news.over) {
        disconnect();
        pause.hidden = true;
      }
    });
    source.addEventListener("bye", () => location.reload());
    source.addEventListener("error", () => {
      connection.textContent = page.dataset.lost;
      connection.hidden = false;
      if (source && source.readyState === EventSource.CLOSED) {
        disconnect();
        again = setTimeout(connect, 2000);
      }
    });
  }

  function disconnect() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  const pause = part("pause");
  draw();
  log.scrollTop = log.scrollHeight;
  if (stream) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      const paused = pause.getAttribute("aria-pressed") === "false";
      pause.setAttribute("aria-pressed", String(paused));
      if (paused) disconnect();
      else connect();
    });
    connect();
    addEventListener("pagehide", disconnect);
  }
})();
