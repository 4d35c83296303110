//! Every table, as it was added: the steps from one schema to the next.

/// Step n makes schema n+1 of schema n. A step that was ever released is never changed; a new one is added.
pub(in crate::state) const STEPS: &[&str] = &[
    FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH, NINTH, TENTH, ELEVENTH, TWELFTH, THIRTEENTH, ENERGY,
    MOVED,
];

const FIRST: &str = include_str!("first.sql");

/// Numbers, outcomes and actions over time.
const SECOND: &str = include_str!("second.sql");

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

/// How much power hosts draw, and the energy of the time between looks.
const ENERGY: &str = "
ALTER TABLE sample_hours ADD COLUMN watts_n INTEGER;
ALTER TABLE sample_hours ADD COLUMN watts_min INTEGER;
ALTER TABLE sample_hours ADD COLUMN watts_avg INTEGER;
ALTER TABLE sample_hours ADD COLUMN watts_max INTEGER;
-- The last look at each host that knew how much it draws.
CREATE TABLE energy_looks (
    server TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    measured_by TEXT NOT NULL,
    phase TEXT NOT NULL,
    watts REAL NOT NULL,
    least REAL NOT NULL,
    -- NULL: a part of the host was measured.
    most REAL
) STRICT, WITHOUT ROWID;
-- Joules of the seconds that are known of an hour.
CREATE TABLE energy_hours (
    hour INTEGER NOT NULL,
    server TEXT NOT NULL,
    measured_by TEXT NOT NULL,
    -- awake, asleep, or in between
    phase TEXT NOT NULL,
    seconds REAL NOT NULL,
    joules REAL NOT NULL,
    least REAL NOT NULL,
    most REAL,
    PRIMARY KEY (hour, server, measured_by, phase)
) STRICT, WITHOUT ROWID;
-- All that was ever known: counters that never go back.
CREATE TABLE energy_totals (
    server TEXT NOT NULL,
    measured_by TEXT NOT NULL,
    joules REAL NOT NULL,
    PRIMARY KEY (server, measured_by)
) STRICT, WITHOUT ROWID;
";

/// Guests that were moved away so that their host could go down.
const MOVED: &str = "
CREATE TABLE moved (
    cluster INTEGER NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    vmid INTEGER NOT NULL,
    -- The configured host that it belongs to, and the node that this is.
    host TEXT NOT NULL,
    from_node TEXT NOT NULL,
    to_node TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (cluster, vmid)
) STRICT, WITHOUT ROWID;
";
