// Parts of a page that are shown anew while it is open: a pause for them, and what to do where one does not come.
"use strict";
(() => {
  const pause = document.getElementById("pause");
  const lost = document.getElementById("connection");
  let paused = false;

  document.addEventListener("htmx:beforeRequest", (event) => {
    const live = event.detail.elt.hasAttribute("data-live");
    if (live && (paused || document.hidden)) event.preventDefault();
  });
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      const failed = event.detail.elt.querySelector(".failed");
      if (failed) failed.hidden = false;
      if (lost && event.detail.elt.hasAttribute("data-live")) lost.hidden = false;
    });
  }
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (lost && event.detail.xhr.status < 400) lost.hidden = true;
  });
  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
    });
  }
})();
