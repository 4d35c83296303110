/* The page's own script: sort, fold, details, ages; filter.js comes before it. It asks nobody for anything. No line
   comments in here: their two slashes are what the tests look for. */
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");

  const MINUTE = 60, HOUR = 3600, DAY = 86400;

  const ago = (seconds) => {
    if (seconds < MINUTE) return Math.max(0, Math.floor(seconds)) + " s";
    if (seconds < 2 * HOUR) return Math.floor(seconds / MINUTE) + " min";
    if (seconds < 2 * DAY) return Math.floor(seconds / HOUR) + " h";
    return Math.floor(seconds / DAY) + " d";
  };

  const inWords = (seconds) => {
    const [size, unit] = seconds < MINUTE ? [1, "second"] : seconds < 2 * HOUR ? [MINUTE, "minute"]
      : seconds < 2 * DAY ? [HOUR, "hour"] : [DAY, "day"];
    const number = Math.max(0, Math.floor(seconds / size));
    return number + " " + unit + (number === 1 ? "" : "s") + " ago";
  };

  document.addEventListener("DOMContentLoaded", () => {
    const find = (id) => document.getElementById(id);
    const table = find("fleet");
    const made = Number(document.body.dataset.made), patience = Number(document.body.dataset.patience);
    const title = document.title;

    /* How old everything is. */
    const times = [...document.querySelectorAll("#fleet time")].map((node) => {
      node.title = new Date(node.dateTime).toLocaleString();
      return { node, at: Date.parse(node.dateTime) / 1000 };
    });
    const stamp = find("made");
    stamp.textContent = new Date(made * 1000).toLocaleString(undefined,
      { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
    const tick = () => {
      const now = Date.now() / 1000, age = now - made;
      find("age").textContent = age < -MINUTE ? "in the future: the clock of this device is slow" : inWords(age);
      const stale = age > patience;
      /* Shown once, not rewritten: a screen reader says it once. */
      if (find("stale").hidden === stale) {
        find("stale").hidden = !stale;
        root.classList.toggle("old", stale);
        document.title = stale ? "stale: " + title : title;
      }
      for (const { node, at } of times) {
        const text = ago(now - at);
        if (node.textContent !== text) node.textContent = text;
      }
    };
    tick();
    setInterval(tick, 5000);
    document.addEventListener("visibilitychange", tick);
    if (!table) return;

    /* What words can name a server by: its attributes, and what stands in its row. */
    const column = Object.fromEntries([...table.tHead.rows[0].cells].map((head, i) => [head.dataset.c, i]));
    const lower = (text) => (text || "").trim().toLowerCase();
    const list = (text) => lower(text).split("\n").filter(Boolean);
    const texts = (nodes) => [...nodes].map((node) => lower(node.textContent));
    const SHORT = { qemu: "vm", lxc: "ct" };
    const servers = [...table.tBodies].map((part, place) => {
      const { id, up, pool, state, vmid, host } = part.dataset, row = part.rows[0];
      const cell = (key) => row.cells[column[key]];
      const word = lower(cell("kind").textContent), short = SHORT[word];
      const server = {
        part, row, place, id, up, detail: part.rows[1], fold: row.querySelector(".fold"), open: row.querySelector(".name"),
        name: lower(row.querySelector(".name").textContent),
        tag: texts(cell("tags").querySelectorAll(".tag")), node: texts(row.querySelectorAll(".on")), pool: list(pool),
        kind: short ? [word, short, "guest"] : [word, "host"],
        state: [lower(cell("state").dataset.s), ...list(state)],
      };
      const address = lower(cell("address").textContent), numbers = vmid ? [vmid, short + "-" + vmid] : [];
      /* In full it is one of these, and a plain word is a part of one of those. */
      server.names = [lower(id), server.name, ...numbers, address].filter((name) => name !== "" && name !== "-");
      server.calls = [...server.names, ...list(host)];
      server.has = [...server.tag, ...server.node, ...server.pool, ...server.kind, ...server.state];
      return server;
    });
    const byId = new Map(servers.map((server) => [server.id, server]));

    /* Pictures without a name say nothing that words do not say, too. */
    for (const picture of document.querySelectorAll("svg:not([role])")) picture.setAttribute("aria-hidden", "true");

    /* Narrow screens lay rows out as cards: say what they are all the same. */
    table.setAttribute("role", "table");
    for (const part of [table.tHead, ...table.tBodies]) part.setAttribute("role", "rowgroup");
    for (const row of table.rows) {
      row.setAttribute("role", "row");
      for (const cell of row.cells) cell.setAttribute("role", cell.tagName === "TH" ? "columnheader" : "cell");
    }

    /* What is chosen: it stands in the address, too, so that it survives a reload and can be kept as a bookmark. */
    const input = find("q"), count = find("count"), foldAll = find("fold-all");
    const heads = [...table.tHead.rows[0].cells], select = find("sort"), turn = find("turn");
    const folded = new Set();
    let sorted = null;

    const read = () => {
      const said = new URLSearchParams(location.hash.slice(1));
      input.value = (said.get("q") || "").slice(0, 500);
      const column = heads.findIndex((head) => head.dataset.c === said.get("sort"));
      sorted = column < 0 ? null : { column, down: said.get("dir") === "down" };
      folded.clear();
      for (const id of (said.get("fold") || "").split(",")) if (byId.has(id)) folded.add(id);
    };
    const write = () => {
      const said = new URLSearchParams();
      if (input.value.trim()) said.set("q", input.value.trim());
      if (sorted) {
        said.set("sort", heads[sorted.column].dataset.c);
        said.set("dir", sorted.down ? "down" : "up");
      }
      if (folded.size) said.set("fold", [...folded].join(","));
      try {
        history.replaceState(null, "", "#" + said);
      } catch {
        /* Some browsers forbid it to local files. */
      }
    };

    const compare = new Intl.Collator(undefined, { numeric: true }).compare;
    const key = (server) => {
      const cell = server.row.cells[sorted.column];
      if (sorted.column === 0) return server.name;
      if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
      const time = cell.querySelector("time");
      if (time) return -Date.parse(time.dateTime);
      const text = cell.textContent.trim();
      return text === "-" ? undefined : text;
    };
    const inOrder = () => {
      if (!sorted) return servers;
      const turn = sorted.down ? -1 : 1;
      const keyed = servers.map((server) => [key(server), server]);
      keyed.sort(([a, one], [b, other]) => {
        /* What nobody knows is last, whichever way. */
        if (a === undefined || b === undefined) return (a === undefined) - (b === undefined) || one.place - other.place;
        const order = typeof a === "number" ? a - b : compare(a, b);
        return order * turn || one.place - other.place;
      });
      return keyed.map(([, server]) => server);
    };
    const isFolded = (server) => {
      for (let up = byId.get(server.up); up; up = byId.get(up.up)) if (folded.has(up.id)) return true;
      return false;
    };

    let order = servers;
    const show = () => {
      let keep = () => true, wrong = "";
      try {
        keep = grammar.filter(input.value, servers, byId);
      } catch (error) {
        wrong = error.message;
      }
      const filtered = input.value.trim() !== "";
      const flat = filtered || sorted !== null;
      table.classList.toggle("flat", flat);
      let shown = 0;
      for (const server of servers) {
        server.part.hidden = !keep(server) || (!flat && isFolded(server));
        if (keep(server)) shown++;
        if (server.fold) server.fold.setAttribute("aria-expanded", String(!folded.has(server.id)));
      }
      const now = inOrder();
      if (now.some((server, i) => server !== order[i])) table.append(...now.map((server) => server.part));
      order = now;
      heads.forEach((head, column) => {
        const chosen = sorted && sorted.column === column;
        head.setAttribute("aria-sort", chosen ? (sorted.down ? "descending" : "ascending") : "none");
      });
      const text = wrong || (filtered ? shown + " of " + servers.length : servers.length)
        + (servers.length === 1 ? " server" : " servers");
      if (count.textContent !== text) count.textContent = text;
      input.setAttribute("aria-invalid", String(wrong !== ""));
      select.value = sorted ? heads[sorted.column].dataset.c : "";
      turn.disabled = !sorted;
      turn.textContent = sorted ? (sorted.down ? "\u2193" : "\u2191") : "\u2195";
      foldAll.textContent = folded.size ? "Unfold all" : "Fold all";
      foldAll.disabled = flat || !servers.some((server) => server.fold);
      for (const button of document.querySelectorAll("[data-q]")) {
        button.setAttribute("aria-pressed", String(button.dataset.q === input.value.trim()));
      }
    };
    const change = () => {
      show();
      write();
    };

    const open = (server, wanted) => {
      server.detail.classList.toggle("open", wanted);
      server.open.setAttribute("aria-expanded", String(wanted));
    };
    for (const server of servers) {
      server.open.addEventListener("click", () => open(server, !server.detail.classList.contains("open")));
      server.open.setAttribute("aria-expanded", "false");
      if (server.fold) server.fold.addEventListener("click", () => {
        if (!folded.delete(server.id)) folded.add(server.id);
        change();
      });
    }
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      /* Its own way first, then the other, then as the fleet stands. */
      const first = head.dataset.first === "down";
      if (!sorted || sorted.column !== column) sorted = { column, down: first };
      else sorted = sorted.down === first ? { column, down: !first } : null;
      change();
    }));
    /* Where columns have no titles. */
    select.addEventListener("change", () => {
      const column = heads.findIndex((head) => head.dataset.c === select.value);
      sorted = column < 0 ? null : { column, down: heads[column].dataset.first === "down" };
      change();
    });
    turn.addEventListener("click", () => {
      sorted.down = !sorted.down;
      change();
    });
    foldAll.addEventListener("click", () => {
      if (folded.size) folded.clear();
      else for (const server of servers) if (server.fold) folded.add(server.id);
      change();
    });
    for (const button of document.querySelectorAll("[data-q]")) button.addEventListener("click", () => {
      input.value = button.dataset.q === input.value.trim() ? "" : button.dataset.q;
      change();
    });
    for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => {
      const server = byId.get(button.dataset.show);
      if (!server) return;
      input.value = "";
      for (let up = byId.get(server.up); up; up = byId.get(up.up)) folded.delete(up.id);
      open(server, true);
      change();
      server.row.scrollIntoView({ block: "center" });
      server.open.focus();
    });
    input.addEventListener("input", change);
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const inside = event.target === input;
      if (event.key === "/" && !inside) {
        event.preventDefault();
        input.focus();
        input.select();
      } else if (event.key === "Escape" && inside && input.value) {
        input.value = "";
        change();
      } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.closest("#fleet")) {
        /* From name to name; Tab reaches everything else. */
        const seen = order.filter((server) => !server.part.hidden);
        const at = seen.findIndex((server) => server.part.contains(event.target));
        const next = seen[at + (event.key === "ArrowDown" ? 1 : -1)];
        if (at >= 0 && next) {
          event.preventDefault();
          next.open.focus();
        }
      }
    });
    addEventListener("hashchange", () => {
      read();
      show();
    });
    read();
    show();
  });
})();
