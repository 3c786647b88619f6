-- Version 1. Everything begins with `forebay_`: an application may keep its own tables in the same file.

CREATE TABLE forebay_file (version INTEGER NOT NULL) STRICT;

-- A queue is a cursor over a region of `forebay_job`: what lies from `head` to `tail` is ready, in this order.
-- What was given back is listed in `forebay_back`, from `low` upwards, and goes first.
CREATE TABLE forebay_queue (
  no INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  region INTEGER NOT NULL,
  head INTEGER NOT NULL,
  tail INTEGER NOT NULL,
  low INTEGER NOT NULL,
  depth INTEGER NOT NULL,
  backs INTEGER NOT NULL,
  is_listed INTEGER NOT NULL
) STRICT;

-- Every job that is queued, leased or parked; `id` is its region and its place there. It is written once and
-- deleted once: a lease names it and leaves it where it is.
CREATE TABLE forebay_job (id INTEGER PRIMARY KEY, mark INTEGER, payload BLOB NOT NULL) STRICT;
-- By the hash of the job's id, in parts of 8,192 neighbours: ids are random, and one index over all of them
-- would write a page of its own for each job.
CREATE INDEX forebay_job_mark ON forebay_job (id >> 13, mark);

CREATE TABLE forebay_back (place INTEGER PRIMARY KEY, job INTEGER NOT NULL UNIQUE) STRICT;
CREATE TABLE forebay_park (
  id INTEGER PRIMARY KEY,
  class TEXT NOT NULL,
  queue INTEGER NOT NULL,
  job INTEGER NOT NULL
) STRICT;
CREATE INDEX forebay_park_class ON forebay_park (class, id);

-- What was a queue before it was emptied, to be swept.
CREATE TABLE forebay_trash (
  id INTEGER PRIMARY KEY,
  region INTEGER NOT NULL,
  head INTEGER NOT NULL,
  tail INTEGER NOT NULL
) STRICT;

CREATE TABLE forebay_owner (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, until INTEGER NOT NULL) STRICT;
CREATE TABLE forebay_lease (
  owner INTEGER NOT NULL,
  token INTEGER NOT NULL,
  queue INTEGER NOT NULL,
  job INTEGER NOT NULL,
  PRIMARY KEY (owner, token)
) STRICT, WITHOUT ROWID;
CREATE TABLE forebay_poison (name TEXT PRIMARY KEY, count INTEGER NOT NULL, until INTEGER NOT NULL) STRICT;

-- The sets. `mark` is the hash of the job's id, `sum` that of all its bytes.
CREATE TABLE forebay_entry (
  id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  at INTEGER NOT NULL,
  mark INTEGER,
  sum INTEGER NOT NULL,
  payload BLOB NOT NULL
) STRICT;
CREATE INDEX forebay_entry_at ON forebay_entry (kind, at, sum);
CREATE INDEX forebay_entry_mark ON forebay_entry (id >> 13, mark);

-- Counted when it is written, so that nobody counts rows.
CREATE TABLE forebay_count (kind INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
INSERT INTO forebay_count (kind, n) VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0);

CREATE TABLE forebay_pause (
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE forebay_process (
  owner TEXT PRIMARY KEY,
  info TEXT NOT NULL,
  concurrency INTEGER NOT NULL,
  busy INTEGER NOT NULL,
  beat INTEGER NOT NULL,
  is_quiet INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
CREATE TABLE forebay_signal (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, signal INTEGER NOT NULL) STRICT;
CREATE INDEX forebay_signal_owner ON forebay_signal (owner, id);
CREATE TABLE forebay_role (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until INTEGER NOT NULL) STRICT;
CREATE TABLE forebay_timetable (name TEXT PRIMARY KEY, tick INTEGER NOT NULL) STRICT;
CREATE TABLE forebay_lock (key TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) STRICT;
CREATE INDEX forebay_lock_until ON forebay_lock (until);
CREATE TABLE forebay_note (
  job TEXT NOT NULL,
  field TEXT NOT NULL,
  value BLOB NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (job, field)
) STRICT;
CREATE INDEX forebay_note_until ON forebay_note (until);
