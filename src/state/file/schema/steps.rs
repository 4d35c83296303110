//! Every table, as it was added: the steps from one schema to the next.

/// Step n makes schema n+1 of schema n. A step that was ever released is never changed; a new one is added.
pub(in crate::state) const STEPS: &[&str] =
    &[FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH, NINTH, TENTH, ELEVENTH, TWELFTH, THIRTEENTH];

const FIRST: &str = "
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
";

/// Numbers, outcomes and actions over time.
const SECOND: &str = "
-- Configured servers as small numbers. A guest's subject is (clusters.id << 32) | vmid.
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY,
    server TEXT NOT NULL UNIQUE
) STRICT;
-- In the order in which runs add them, many servers in one row: see blocks.rs.
CREATE TABLE samples (
    at INTEGER NOT NULL,
    block INTEGER NOT NULL,
    servers BLOB NOT NULL,
    PRIMARY KEY (at, block)
) STRICT, WITHOUT ROWID;
-- Bytes and bytes a second are whole, all else is in ten-thousandths.
CREATE TABLE sample_hours (
    hour INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    n INTEGER NOT NULL,
    cpu_n INTEGER, cpu_min INTEGER, cpu_avg INTEGER, cpu_max INTEGER,
    load_n INTEGER, load_min INTEGER, load_avg INTEGER, load_max INTEGER,
    memory_n INTEGER, memory_min INTEGER, memory_avg INTEGER, memory_max INTEGER,
    disk_n INTEGER, disk_min INTEGER, disk_avg INTEGER, disk_max INTEGER,
    receive_n INTEGER, receive_min INTEGER, receive_avg INTEGER, receive_max INTEGER,
    transmit_n INTEGER, transmit_min INTEGER, transmit_avg INTEGER, transmit_max INTEGER,
    read_n INTEGER, read_min INTEGER, read_avg INTEGER, read_max INTEGER,
    write_n INTEGER, write_min INTEGER, write_avg INTEGER, write_max INTEGER,
    pressure_cpu_n INTEGER, pressure_cpu_min INTEGER, pressure_cpu_avg INTEGER, pressure_cpu_max INTEGER,
    pressure_memory_n INTEGER, pressure_memory_min INTEGER, pressure_memory_avg INTEGER, pressure_memory_max INTEGER,
    pressure_io_n INTEGER, pressure_io_min INTEGER, pressure_io_avg INTEGER, pressure_io_max INTEGER,
    PRIMARY KEY (hour, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE check_hours (
    hour INTEGER NOT NULL,
    series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    millis TEXT NOT NULL,
    PRIMARY KEY (hour, series)
) STRICT, WITHOUT ROWID;
CREATE INDEX check_hours_series ON check_hours (series);
-- The first outcome of a series, and each that is not as the one before.
CREATE TABLE switches (
    series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    PRIMARY KEY (series, at)
) STRICT, WITHOUT ROWID;
-- Hours with something in them that is not summed up yet, and how far that has come.
CREATE TABLE unrolled (
    kind TEXT NOT NULL,
    hour INTEGER NOT NULL,
    next INTEGER NOT NULL DEFAULT 0,
    -- The most rows that one run added.
    most INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, hour)
) STRICT, WITHOUT ROWID;
-- When the last runs were that are some minutes apart, by the clocks they had.
CREATE TABLE clock (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
-- What is older was deleted, or will be: only the hours are whole.
CREATE TABLE samples_gone (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    before INTEGER NOT NULL
) STRICT;
ALTER TABLE series ADD COLUMN gone_before INTEGER NOT NULL DEFAULT 0;
CREATE TABLE readings (
    server TEXT NOT NULL,
    at INTEGER NOT NULL,
    reading TEXT NOT NULL,
    PRIMARY KEY (server, at)
) STRICT, WITHOUT ROWID;
-- Ids are never used again: whoever sends remembers one.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE actions (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    server TEXT,
    action TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    outcome TEXT NOT NULL,
    seconds REAL,
    detail TEXT
) STRICT;
CREATE INDEX actions_at ON actions (at);
INSERT INTO switches (series, at, ok)
    SELECT series, at, ok FROM
        (SELECT series, at, ok, lag(ok) OVER (PARTITION BY series ORDER BY at) AS before FROM checks)
    WHERE before IS NOT ok;
INSERT INTO unrolled (kind, hour) SELECT DISTINCT 'checks', at - at % 3600000 FROM checks;
";

/// What is known of power actions while they are in flight, and who a guest is.
const THIRD: &str = "
-- Actions that were begun and have not said how they ended; their outcome is empty. After `until` nobody will.
CREATE TABLE in_flight (
    action INTEGER PRIMARY KEY REFERENCES actions (id) ON DELETE CASCADE,
    until INTEGER NOT NULL
) STRICT;
CREATE TABLE identities (
    cluster INTEGER NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    vmid INTEGER NOT NULL,
    identity TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (cluster, vmid)
) STRICT, WITHOUT ROWID;
";

/// Every run asks for the addresses of all guests: it reads those that there are, and not every guest.
const FOURTH: &str = "
CREATE INDEX guests_with_addresses ON guests (cluster, vmid, gone_at, addresses) WHERE addresses <> '';
";

/// A listing of Proxmox VE is some seconds old: what an action has seen since, and how much older than its stamp a change may
/// be.
const FIFTH: &str = "
CREATE TABLE sightings (
    server TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE events ADD COLUMN lag INTEGER NOT NULL DEFAULT 0;
";

/// Under which label a cluster's numbers leave ecobox, where that is another one than its name's: one that it had before
/// it got a new certificate authority.
const SIXTH: &str = "
ALTER TABLE clusters ADD COLUMN label TEXT;
";

/// Which node a guest was on until when, and whether a listing that agrees with a sighting may still be from before.
const SEVENTH: &str = "
ALTER TABLE sightings ADD COLUMN passing INTEGER NOT NULL DEFAULT 0;
CREATE TABLE moves (
    server TEXT NOT NULL,
    at INTEGER NOT NULL,
    before TEXT NOT NULL,
    PRIMARY KEY (server, at)
) STRICT, WITHOUT ROWID;
";

/// What was said of troubles, by who runs again and again; and which guest agents did not answer when.
const EIGHTH: &str = "
CREATE TABLE told (
    -- The configuration, the command and its targets.
    job TEXT NOT NULL,
    server TEXT NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    text TEXT NOT NULL,
    since INTEGER NOT NULL,
    said_at INTEGER NOT NULL,
    PRIMARY KEY (job, server, kind, what)
) STRICT, WITHOUT ROWID;
CREATE TABLE silent_agents (
    cluster INTEGER NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    vmid INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (cluster, vmid)
) STRICT, WITHOUT ROWID;
";

/// What tokens may do, as Proxmox VE said last.
const NINTH: &str = "
CREATE TABLE permissions (
    cluster TEXT NOT NULL,
    token_id TEXT NOT NULL,
    held TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (cluster, token_id)
) STRICT, WITHOUT ROWID;
";

/// Which servers have shown that they are of their clusters: versions before took their word.
const TENTH: &str = "
ALTER TABLE members ADD COLUMN checked INTEGER NOT NULL DEFAULT 0;
";

/// What somebody looks after: storages, ends of tokens and certificates, jobs of backups; and the last backups of guests,
/// which Proxmox VE's own list of tasks forgets.
const ELEVENTH: &str = "
CREATE TABLE upkeep (
    -- A cluster, or a server.
    subject TEXT NOT NULL,
    what TEXT NOT NULL,
    told TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (subject, what)
) STRICT, WITHOUT ROWID;
CREATE TABLE backups (
    cluster INTEGER NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    vmid INTEGER NOT NULL,
    kind TEXT,
    good_at INTEGER,
    failed_at INTEGER,
    why TEXT,
    PRIMARY KEY (cluster, vmid)
) STRICT, WITHOUT ROWID;
-- From which of its tasks a node's list is to be read next, and since when all of them were.
CREATE TABLE backup_looks (
    cluster INTEGER NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    node TEXT NOT NULL,
    at INTEGER NOT NULL,
    next INTEGER NOT NULL,
    since INTEGER,
    PRIMARY KEY (cluster, node)
) STRICT, WITHOUT ROWID;
";

/// Leases, the servers that they hold, and the servers that are up because of one; hosts that their own clock wakes.
const TWELFTH: &str = "
CREATE TABLE leases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    reason TEXT,
    at INTEGER NOT NULL,
    until INTEGER,
    -- What becomes of the hosts that it woke.
    ending TEXT,
    -- The process with which it ends: its number, when it began, in which boot.
    pid INTEGER,
    started INTEGER,
    boot TEXT
) STRICT;
CREATE TABLE leased (
    lease INTEGER NOT NULL REFERENCES leases (id) ON DELETE CASCADE,
    server TEXT NOT NULL,
    name TEXT NOT NULL,
    asked INTEGER NOT NULL,
    PRIMARY KEY (lease, server)
) STRICT, WITHOUT ROWID;
-- Who says how an action ended: one that was killed does not.
ALTER TABLE in_flight ADD COLUMN pid INTEGER;
ALTER TABLE in_flight ADD COLUMN started INTEGER;
ALTER TABLE in_flight ADD COLUMN boot TEXT;
CREATE TABLE woken (
    server TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- The action that brings it back to where it was.
    back TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Alarms in the clocks of hosts. From `late` on a host that sleeps and is silent has failed.
CREATE TABLE alarms (
    server TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    late INTEGER NOT NULL,
    set_at INTEGER NOT NULL,
    -- As the clock shows it, in its own time.
    shown INTEGER,
    sleeps INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// For how long hosts are idle and what kept them awake, by the looks of `power --if-idle`.
const THIRTEENTH: &str = "
CREATE TABLE idle (
    server TEXT PRIMARY KEY,
    -- NULL: at the last look it was in use, or asleep.
    since INTEGER,
    looked_at INTEGER NOT NULL,
    -- The last look that counts for the usual gap, and the last gaps.
    paced_at INTEGER NOT NULL,
    gaps TEXT NOT NULL,
    -- What needed it at the last look.
    needs TEXT NOT NULL,
    used_at INTEGER,
    used TEXT,
    -- How often it had been asleep since it was started.
    sleeps INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE idle_stretches (
    server TEXT NOT NULL,
    -- idle, asleep, or the kind of a need.
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (server, kind, what, since)
) STRICT, WITHOUT ROWID;
";
