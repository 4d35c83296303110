CREATE TABLE machine (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    suffix TEXT NOT NULL
) STRICT;
CREATE TABLE facts (
    server TEXT PRIMARY KEY,
    facts TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE members (
    server TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    node TEXT,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tokens (
    cluster TEXT PRIMARY KEY,
    token_id TEXT NOT NULL,
    secret TEXT NOT NULL,
    scope TEXT NOT NULL,
    pve_major INTEGER,
    via TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE intents (
    server TEXT NOT NULL,
    token_id TEXT NOT NULL,
    cluster TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (server, token_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE trust (
    server TEXT PRIMARY KEY,
    trust TEXT NOT NULL,
    via TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE clusters (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    listed_at INTEGER,
    listed_via TEXT,
    discovered_at INTEGER,
    -- Of the last listing: one that has the same says nothing new.
    digest INTEGER,
    -- Guests that are kept although the last listing lacked them.
    unlisted INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Changes that no discovery has told yet.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    cluster INTEGER NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    change TEXT NOT NULL
) STRICT;
CREATE TABLE guests (
    cluster INTEGER NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    vmid INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT,
    node TEXT NOT NULL,
    state TEXT NOT NULL,
    known_state TEXT NOT NULL,
    raw TEXT NOT NULL,
    template INTEGER NOT NULL,
    lock TEXT,
    tags TEXT NOT NULL,
    pool TEXT,
    ha_state TEXT,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER,
    gone_at INTEGER,
    changed_at INTEGER NOT NULL,
    addresses TEXT,
    addresses_at INTEGER,
    PRIMARY KEY (cluster, vmid)
) STRICT, WITHOUT ROWID;
CREATE TABLE states (
    server TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    since INTEGER NOT NULL,
    at INTEGER NOT NULL,
    last_online_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE wishes (
    server TEXT PRIMARY KEY,
    asleep INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    server TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    source TEXT NOT NULL
) STRICT;
CREATE INDEX events_at ON events (at);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    server TEXT NOT NULL,
    service TEXT NOT NULL,
    UNIQUE (server, service)
) STRICT;
CREATE TABLE checks (
    series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    millis REAL,
    detail TEXT,
    PRIMARY KEY (series, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE ssh_answers (
    alias TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,
    answer TEXT NOT NULL
) STRICT, WITHOUT ROWID;
