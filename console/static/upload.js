// Brings files to the console in pieces: chosen, as a folder, or dropped; goes on where it was broken off.
"use strict";

(() => {
  const form = document.getElementById("sender");
  if (!form || !window.crypto || !crypto.subtle) return;
  const part = (id) => document.getElementById(id);
  const words = form.dataset, token = form.elements.form_token.value;
  const AT_ONCE = 3, TRIES = 5, LONGEST_WAIT_S = 30, SAY_EVERY_MS = 3000, MOST_NAMES = 5;
  const HIDDEN = new Set(["__macosx", "thumbs.db", "desktop.ini"]);
  const reader = document.documentElement.lang;

  const number = (value, digits = 0) =>
    new Intl.NumberFormat(reader, { maximumFractionDigits: digits }).format(value);
  const size = (bytes) => (bytes < 1e6 ? `${number(bytes / 1e3, 1)} kB` : `${number(bytes / 1e6, 1)} MB`);
  const fill = (text, blanks) => text.replace(/\{(\w+)\}/g, (whole, name) => blanks[name] ?? whole);
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

  class Stop extends Error {
    constructor(...lines) {
      super(lines.join(" "));
      this.lines = lines;
    }
  }

  // What was chosen: each file by the name under which the console knows it.
  let chosen = new Map();

  const isHidden = (path) =>
    path.split("/").some((name) => name.startsWith(".") || HIDDEN.has(name.toLowerCase()));

  function choose(pairs) {
    const own = pairs.filter(([path]) => !isHidden(path));
    chosen = new Map(own.map(([path, file]) => [path.normalize("NFC"), file]));
    let bytes = 0;
    for (const file of chosen.values()) bytes += file.size;
    part("chosen").textContent = fill(words.chosen, { count: number(chosen.size), size: size(bytes) });
    tell([]);
  }

  const named = (list) => [...list].map((file) => [file.webkitRelativePath || file.name, file]);

  async function walk(entry, found) {
    if (entry.isFile) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      found.push([entry.fullPath.replace(/^\//, ""), file]);
      return;
    }
    const listing = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => listing.readEntries(done, failed));
      if (!some.length) return;
      for (const each of some) await walk(each, found);
    }
  }

  async function dropped(items) {
    // All of them are asked for before the first wait: the browser forgets then what was dropped.
    const files = [...items].filter((item) => item.kind === "file"), found = [];
    const entries = files.map((item) => item.webkitGetAsEntry() || item.getAsFile());
    part("chosen").textContent = words.reading;
    for (const each of entries) {
      if (each instanceof File) found.push([each.name, each]);
      else if (each) await walk(each, found);
    }
    choose(found);
  }

  function tell(lines) {
    const list = part("faults");
    list.replaceChildren(
      ...lines.map((line) => {
        const item = document.createElement("li");
        item.textContent = line;
        return item;
      }),
    );
    list.hidden = !lines.length;
  }

  // Talking to the console; an answer that leads elsewhere is that to somebody who is signed out.
  async function ask(path, options = {}) {
    const headers = { "X-Form-Token": token, Accept: "application/json", ...options.headers };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers, redirect: "manual" });
    } catch {
      return { status: 0, said: {} };
    }
    if (answer.type === "opaqueredirect") throw new Stop(words.out);
    const isJson = (answer.headers.get("content-type") || "").startsWith("application/json");
    return { status: answer.status, said: isJson ? await answer.json() : {} };
  }

  const lines = (said) => (said.problems && said.problems.length ? said.problems : [words.refused]);

  async function begin() {
    const files = [...chosen].map(([path, file]) => ({ path, size: file.size }));
    const kind = form.elements.kind.value, next = form.elements.next.value;
    const { status, said } = await ask("/uploads", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ kind, files, next }),
    });
    if (status !== 201) throw new Stop(...(status ? lines(said) : [words.again]));
    words.upload = said.upload;
    history.replaceState(null, "", `/uploads/${said.upload}`);
  }

  async function known() {
    const { status, said } = await ask(`/uploads/${words.upload}/files`);
    if (status !== 200) throw new Stop(status === 404 ? words.gone : status ? words.refused : words.again);
    return said;
  }

  const names = (paths) => paths.slice(0, MOST_NAMES).join(", ") + (paths.length > MOST_NAMES ? ", …" : "");

  function matched(files) {
    const paths = new Map(files.map((each) => [each.path, each]));
    const others = [...chosen].filter(([path, file]) => paths.get(path)?.size !== file.size);
    if (others.length) throw new Stop(fill(words.others, { names: names(others.map(([path]) => path)) }));
    return files.filter((each) => each.offset < each.size);
  }

  // The state of what goes on.
  let paused = null, goOn = () => {}, stopped = false;
  const meter = { files: [], saidAt: 0, lost: false };

  function show(force = false) {
    const { files } = meter;
    const whole = files.reduce((sum, each) => sum + each.size, 0);
    const done = files.reduce((sum, each) => sum + each.offset, 0);
    part("bar").value = whole ? done / whole : 1;
    if (!force && performance.now() - meter.saidAt < SAY_EVERY_MS) return;
    meter.saidAt = performance.now();
    const complete = files.filter((each) => each.offset >= each.size).length;
    const text = meter.lost ? words.again : paused ? words.paused : words.going;
    part("told").textContent = fill(text, {
      done: size(done), whole: size(whole), files: number(complete), all: number(files.length),
    });
  }

  async function digest(body) {
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  async function read(file, start, length, path) {
    try {
      const body = await file.slice(start, start + length).arrayBuffer();
      if (body.byteLength) return body;
    } catch {
      // said below: it was moved, deleted or written to
    }
    throw new Stop(fill(words.changed, { name: path }));
  }

  async function bring(each, length) {
    const file = chosen.get(each.path);
    for (let failures = 0; each.offset < each.size && !stopped; ) {
      if (paused) await paused;
      const body = await read(file, each.offset, length, each.path);
      const { status, said } = await ask(`/uploads/${words.upload}/files/${each.n}?offset=${each.offset}`, {
        method: "PUT",
        headers: { "Content-Type": "application/octet-stream", "Digest-SHA256": await digest(body) },
        body,
      });
      if ((status === 200 || status === 409) && Number.isInteger(said.offset)) {
        each.offset = said.offset; // another window may send the same file
        failures = 0;
        meter.lost = false;
      } else if (!status || (status >= 500 && status !== 507)) {
        failures += 1;
        meter.lost = true;
        show(true);
        await pause(Math.min(LONGEST_WAIT_S, 2 ** Math.min(failures, 5) / 2));
      } else if (said.again && failures < TRIES) {
        failures += 1;
      } else {
        throw new Stop(...(status === 404 ? [words.gone] : lines(said)));
      }
      show();
    }
  }

  async function sendAll() {
    if (!words.upload) await begin();
    const { files, chunk_bytes: length } = await known();
    const open = matched(files), missing = open.filter((each) => !chosen.has(each.path));
    const jobs = open.filter((each) => chosen.has(each.path));
    meter.files = files;
    show(true);
    const worker = async () => {
      for (let each = jobs.shift(); each && !stopped; each = jobs.shift()) await bring(each, length);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    show(true);
    if (missing.length) {
      const blanks = { count: number(missing.length), names: names(missing.map((each) => each.path)) };
      throw new Stop(fill(words.missing, blanks));
    }
    part("told").textContent = words.checking;
    finish();
  }

  function finish() {
    const done = document.createElement("form"), field = document.createElement("input");
    done.method = "post";
    done.action = `/uploads/${words.upload}/done`;
    field.type = "hidden";
    field.name = "form_token";
    field.value = token;
    done.append(field);
    document.body.append(done);
    done.submit();
  }

  function lock(going) {
    part("going").hidden = !going;
    part("send").disabled = going;
    for (const id of ["files", "choose-folder"]) part(id).disabled = going;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!chosen.size) return tell([words.nothing]);
    tell([]);
    stopped = false;
    lock(true);
    try {
      await sendAll();
    } catch (error) {
      stopped = true;
      if (!(error instanceof Stop)) throw error;
      tell(error.lines);
      lock(false);
    }
  });

  part("pause").addEventListener("click", () => {
    const pressed = !paused;
    part("pause").setAttribute("aria-pressed", String(pressed));
    goOn();
    paused = pressed ? new Promise((done) => { goOn = done; }) : null;
    show(true);
  });

  // Whoever has scripts can drop, choose folders, and go on.
  form.hidden = false;
  part("drop").hidden = false;
  part("files").required = false;
  part("files").addEventListener("change", () => choose(named(part("files").files)));
  part("folder").addEventListener("change", () => choose(named(part("folder").files)));
  part("choose-folder").addEventListener("click", () => part("folder").click());
  const drop = part("drop");
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.toggle("over", drop.contains(event.target));
  });
  addEventListener("drop", (event) => {
    event.preventDefault(); // beside the field, too: the browser would open the file instead of this page
    drop.classList.remove("over");
    if (drop.contains(event.target) && !part("send").disabled) dropped(event.dataTransfer.items);
  });
  // Files that a browser has kept in the form over a reload.
  if (part("files").files.length) choose(named(part("files").files));
})();
