// The page's own part: the form is the address, the address goes to the session, figures come back.
"use strict";
(() => {
  const $ = (query, root = document) => root.querySelector(query);
  const $$ = (query, root = document) => [...root.querySelectorAll(query)];
  const form = $("#state");

  // Light and dark.
  $("#theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });

  // Copy buttons, also of parts that come later.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  // A column of many rows: filter as one types.
  $$("[data-filter]").forEach((field) => field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    $$(field.dataset.filter).forEach((item) => {
      const said = (item.dataset.words || item.textContent).toLowerCase();
      item.hidden = !wanted.every((word) => said.includes(word));
    });
  }));

  if (!form) return;

  // The address holds the state of the screen.
  function address() {
    const pairs = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (typeof value === "string" && value.trim()) pairs.append(name, value);
    }
    return pairs.toString();
  }
  let sent = null;
  function tell(priority) {
    const query = address();
    history.replaceState(null, "", `?${query}`);
    if (!window.Shiny || !Shiny.setInputValue || (query === sent && !priority)) return;
    sent = query;
    Shiny.setInputValue("address", query, priority ? { priority: "event" } : {});
  }
  let timer = 0;
  function soon(wait) {
    clearTimeout(timer);
    timer = setTimeout(tell, wait);
  }
  function reload() {
    clearTimeout(timer);
    const active = document.activeElement;
    if (active && active.id) sessionStorage.setItem("focus", active.id);
    sessionStorage.setItem("scroll", String(scrollY));
    location.search = `?${address()}`;
  }
  const focused = sessionStorage.getItem("focus");
  if (focused) {
    sessionStorage.removeItem("focus");
    document.getElementById(focused)?.focus({ preventScroll: true });
    scrollTo(0, Number(sessionStorage.getItem("scroll") || 0));
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    const run = document.getElementById("run-number");
    if (run) run.value = "";  // another study than the one that ran
    const out = event.target.dataset.out;
    if (out) document.getElementById(out).textContent = event.target.value;
    if (event.target.closest(".dials")) return;
    if (!event.target.matches("[data-reload], [type=file]")) {
      soon(event.target.type === "range" ? 120 : 600);
    }
  });
  form.addEventListener("change", (event) => {
    if (event.target.matches("[type=file]") || event.target.closest(".dials")) return;
    if (event.target.matches("[data-resets]")) {
      location.search = `?${new URLSearchParams([[event.target.name, event.target.value]])}`;
    } else if (event.target.matches("[data-reload]")) reload();
    else soon(0);
  });
  form.addEventListener("click", (event) => {
    const drop = event.target.closest("[data-drop]");
    if (drop) {
      $$(`[name="${drop.dataset.drop}"], [name="name-${drop.dataset.drop}"]`, form)
        .forEach((own) => { own.disabled = true; });
      reload();
    }
    const add = event.target.closest("[data-add]");
    if (add) {
      const own = document.createElement("input");
      own.type = "hidden";
      [own.name, own.value] = add.dataset.add.split("=");
      form.append(own);
      reload();
    }
    const step = event.target.closest("[data-step]");
    if (step) stepPatient(Number(step.dataset.step));
  });

  // A regimen that is picked goes to the end of its arm.
  $$("[data-append]", form).forEach((field) => field.addEventListener("change", (event) => {
    event.stopPropagation();
    const own = document.getElementById(field.dataset.append);
    if (!field.value.trim()) return;
    own.value = [own.value.trim(), field.value.trim()].filter(Boolean).join("\n");
    field.value = "";
    soon(0);
  }));

  // Which patient is marked: numbers of those who entered, told by the session.
  let numbers = [];
  function stepPatient(step) {
    const field = $("[data-patient]", form);
    if (!numbers.length) return;
    const at = numbers.indexOf(Number(field.value));
    field.value = numbers[(at + step + numbers.length) % numbers.length];
    soon(0);
  }

  // Dials: a dose and an interval in the words of a regimen.
  const FACTORS = [0, 0.125, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4];
  const AMOUNT = /(\d+(?:\.\d+)?)( ?(?:mg|ug|mcg|ng|g|MIU|kIU|IU|MU|units?)(?:\/(?:kg|m\^2))?)(?![\w/])/g;
  const EVERY = /\bevery (\d+(?:\.\d+)?) (hour|day|week|month)s?\b/;
  function dials(box) {
    const field = document.getElementById(box.dataset.for);
    const [dose, every] = [$(".dose", box), $(".every", box)];
    const base = field.defaultValue;
    const amounts = [...base.matchAll(AMOUNT)].filter((own) => !/maximum $/.test(base.slice(0, own.index)));
    const rhythm = base.match(EVERY);
    const said = (value) => String(Number(value.toPrecision(4)));
    dose.max = FACTORS.length - 1;
    dose.value = FACTORS.indexOf(1);
    dose.closest("label").hidden = !amounts.length;
    every.closest("label").hidden = !rhythm;
    if (rhythm) {
      every.max = Math.max(12, 4 * Number(rhythm[1]));
      every.value = rhythm[1];
    }
    function shown() {
      const factor = FACTORS[dose.value];
      const first = amounts[0];
      const output = (control) => $("output", control.closest("label"));
      if (first) {
        output(dose).textContent = factor ? said(first[1] * factor) + first[2] : "none";
        dose.setAttribute("aria-valuetext", output(dose).textContent);
      }
      if (rhythm) {
        output(every).textContent = `${every.value} ${rhythm[2]}${every.value === "1" ? "" : "s"}`;
        every.setAttribute("aria-valuetext", output(every).textContent);
      }
    }
    function write() {
      const factor = FACTORS[dose.value];
      let text = base.replace(AMOUNT, (all, value, unit, at) =>
        /maximum $/.test(base.slice(0, at)) ? all : said(value * factor) + unit);
      if (rhythm) {
        const plural = every.value === "1" ? "" : "s";
        text = text.replace(EVERY, `every ${every.value} ${rhythm[2]}${plural}`);
      }
      field.value = text;
      shown();
      soon(120);
    }
    dose.addEventListener("input", write);
    every.addEventListener("input", write);
    shown();
  }
  $$(".dials", form).forEach(dials);

  // What the session sends.
  function status(message) {
    const box = $("#status");
    if (!box) return;
    box.replaceChildren();
    const words = document.createElement("span");
    words.textContent = message.words;
    box.append(words);
    if (message.total > 0) {
      const bar = document.createElement("progress");
      bar.max = message.total;
      bar.value = message.done;
      bar.setAttribute("aria-label", message.words);
      box.append(bar);
    } else if (message.busy) {
      const bar = document.createElement("progress");
      bar.setAttribute("aria-label", message.words);
      box.append(bar);
    }
    box.dataset.state = message.state || "";
  }
  const handlers = {
    status,
    numbers: (message) => {
      numbers = message.numbers;
      const field = $("[data-patient]", form);
      if (field && document.activeElement !== field) field.value = message.marked;
      history.replaceState(null, "", `?${address()}`);
    },
    begin: (_message) => {
      $$(".shown figure").forEach((own) => own.classList.add("stale"));
      const box = $("#failure");
      if (box) box.replaceChildren();
    },
    figure: (message) => {
      const group = document.getElementById(`group-${message.group}`);
      if (!group) return;
      group.hidden = false;
      const place = $(".figures", group);
      const made = document.createElement("template");
      made.innerHTML = message.html;
      const figure = made.content.firstElementChild;
      const old = document.getElementById(figure.id);
      if (old) old.replaceWith(figure);
      else place.append(figure);
    },
    end: (_message) => {
      $$(".shown figure.stale").forEach((own) => own.remove());
      $$(".shown .group").forEach((own) => {
        if ($(".figures", own)) own.hidden = !$(".figures", own).childElementCount;
      });
    },
    part: (message) => {
      const box = document.getElementById(message.id);
      if (!box) return;
      box.hidden = !message.html;
      box.innerHTML = message.html;
    },
    enable: (message) => {
      const control = document.getElementById(message.id);
      if (control) control.disabled = !message.on;
    },
    value: (message) => {
      document.getElementById(message.id).value = message.value;
      history.replaceState(null, "", `?${address()}`);
      sent = address();
    },
    go: (message) => { location.href = message.to; },
  };
  const isLive = document.body.dataset.live === "yes";
  if (!isLive) return;
  for (const [name, handler] of Object.entries(handlers)) {
    Shiny.addCustomMessageHandler(name, handler);
  }
  $$("[data-press]").forEach((button) => button.addEventListener("click", () => {
    clearTimeout(timer);
    tell();
    Shiny.setInputValue("press", { name: button.dataset.press, address: address(), at: Date.now() },
      { priority: "event" });
  }));
  const file = $("[data-upload]", form);
  if (file) file.addEventListener("change", async () => {
    const own = file.files[0];
    if (!own) return;
    const words = (text) => { $("#failure").innerHTML = ""; $("#failure").textContent = text; $("#failure").className = "failure"; };
    if (!/\.ya?ml$/i.test(own.name)) { words("Choose a study file that ends in .yaml or .yml."); return; }
    if (own.size > 24000) { words("A study file of at most 24 KB can be opened here; run larger ones with 'immunostat run'."); return; }
    $(file.dataset.upload).value = await own.text();
    tell();
  });
  const ready = () => tell(true);
  if (window.Shiny && Shiny.initializedPromise) Shiny.initializedPromise.then(ready);
  else $(document).addEventListener("shiny:connected", ready);
  $$(".status").length && window.jQuery && jQuery(document).on("shiny:disconnected", () => {
    status({ words: "The app has stopped. Start it again with 'immunostat app', then reload.", state: "gone" });
  });
})();
