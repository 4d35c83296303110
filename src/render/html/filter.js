/* What a filter means: the same as in model/select/filter.rs, and the same table of cases is tried with both. No line
   comments in here: their two slashes are what the tests look for. */
const grammar = (() => {
  "use strict";
  const KEYS = ["tag", "node", "kind", "pool", "state"];
  const WORDS = {
    kind: ["pve", "linux", "qemu", "lxc", "vm", "ct", "guest", "host"],
    state: ["running", "stopped", "paused", "hibernated", "online", "offline", "asleep", "unknown", "starting",
      "resuming", "waking", "suspending", "hibernating", "stopping", "rebooting", "migrating",
      "wrong"],
  };

  /* Whether a set such as [a-cx] has a character. */
  const contains = (members, c) => {
    for (let i = 0; i < members.length; i++) {
      if (members[i + 1] === "-" && i + 2 < members.length) {
        if (members[i].codePointAt() <= c.codePointAt() && c.codePointAt() <= members[i + 2].codePointAt()) return true;
        i += 2;
      } else if (members[i] === c) return true;
    }
    return false;
  };

  /* A shell's pattern: whole, in any letter case. Only the last star ever has to take more, which keeps the time at
     pattern times text; a regular expression would try all ways, and a link can carry any pattern. */
  const glob = (pattern) => {
    const chars = [...pattern.toLowerCase()], parts = [];
    for (let i = 0; i < chars.length; i++) {
      const c = chars[i];
      if (c === "*") parts.push(null);
      else if (c === "?") parts.push(() => true);
      else {
        const not = c === "[" && (chars[i + 1] === "!" || chars[i + 1] === "^") ? 1 : 0;
        const end = c === "[" ? chars.indexOf("]", i + 2 + not) : -1;
        if (end < 0) parts.push((other) => other === c);
        else {
          const members = chars.slice(i + 1 + not, end);
          parts.push((other) => contains(members, other) !== (not === 1));
          i = end;
        }
      }
    }
    return (text) => {
      const letters = [...text.toLowerCase()];
      let p = 0, t = 0, star = -1, taken = 0;
      while (t < letters.length) {
        if (p < parts.length && parts[p] === null) {
          star = p++;
          taken = t;
        } else if (p < parts.length && parts[p](letters[t])) {
          p++;
          t++;
        } else if (star >= 0) {
          p = star + 1;
          t = ++taken;
        } else return false;
      }
      return parts.slice(p).every((part) => part === null);
    };
  };

  const isPattern = (text) => /[*?[]/.test(text);
  const fitsPattern = (pattern) => {
    const fits = glob(pattern);
    return (server) => fits(server.name) || fits(server.id.toLowerCase());
  };
  const isPart = (words, text) => words.some((word) => word.includes(text));

  /* A server that has a key with a value. */
  const selector = (key, value) => {
    if (!KEYS.includes(key)) throw new Error("unknown selector `" + key + "=`; there are " + KEYS.join("=, ") + "=");
    if (!value) throw new Error(key + " is empty");
    const fits = glob(value);
    if (WORDS[key] && !WORDS[key].some(fits)) {
      throw new Error("`" + value + "` is not a " + key + "; there are " + WORDS[key].join(", "));
    }
    return (server) => server[key].some(fits);
  };

  /* A guest of a host: by the node it runs on, or by the server it stands under. */
  const guestOn = (host, guest, byId) => {
    const fits = glob(host), fitsHost = isPattern(host) ? fitsPattern(host) : () => false;
    const fitsGuest = isPattern(guest) ? fitsPattern(guest) : (server) => isPart(server.calls, guest);
    return (server) => {
      if (!server.kind.includes("guest")) return false;
      const up = byId.get(server.up);
      const isOn = server.node.some(fits) || (server.up && fits(server.up))
        || (up && (up.names.includes(host) || fitsHost(up)));
      return Boolean(isOn) && fitsGuest(server);
    };
  };

  const term = (text, byId) => {
    if (text.startsWith("!")) {
      const inner = term(text.slice(1), byId);
      return (server) => !inner(server);
    }
    const at = text.indexOf("="), slash = text.indexOf("/");
    if (at >= 0) return selector(text.slice(0, at), text.slice(at + 1));
    if (slash >= 0) return guestOn(text.slice(0, slash), text.slice(slash + 1), byId);
    return isPattern(text) ? fitsPattern(text) : (server) => isPart(server.calls, text) || isPart(server.has, text);
  };

  const word = (text, servers, byId) => {
    /* A name may look like anything: written in full it is that name. */
    if (/[=,/*?[]/.test(text) && servers.some((server) => server.names.includes(text))) {
      return (server) => server.names.includes(text);
    }
    const terms = text.split(",").filter((part) => part !== "" && part !== "!").map((part) => term(part, byId));
    return (server) => terms.every((fits) => fits(server));
  };

  /* Blanks are "or", commas "and", an exclamation mark "not". */
  const filter = (text, servers, byId) => {
    const words = text.toLowerCase().trim().split(/\s+/).filter((part) => part !== "" && part !== "!");
    const wanted = [], excluded = [];
    for (const part of words) {
      if (part.startsWith("!")) excluded.push(word(part.slice(1), servers, byId));
      else wanted.push(word(part, servers, byId));
    }
    return (server) => (wanted.length === 0 || wanted.some((fits) => fits(server)))
      && !excluded.some((fits) => fits(server));
  };
  return { filter };
})();
