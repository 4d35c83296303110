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
