// Gives each cell of a list the name of its column, with which a narrow screen shows its rows one below another.
"use strict";
(() => {
  const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };

  function name(table) {
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    for (const each of [table, ...table.querySelectorAll("thead, tbody, tr, td")]) {
      each.setAttribute("role", roles[each.tagName]); // some browsers forget it where CSS makes it a block
    }
    for (const each of table.querySelectorAll("th")) {
      each.setAttribute("role", each.scope === "row" ? "rowheader" : "columnheader");
    }
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach((cell, at) => cell.setAttribute("data-column", names[at]));
    }
    table.setAttribute("data-named", "");
  }
  function nameAll() {
    document.querySelectorAll("table.rows:not([data-named])").forEach(name);
  }

  nameAll();
  document.addEventListener("htmx:afterSwap", nameAll);
  document.addEventListener("htmx:load", nameAll);
})();
