-- Runs by class and minute.
CREATE TABLE forebay_ran (
  minute INTEGER NOT NULL,
  class TEXT NOT NULL,
  processed INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  ms INTEGER NOT NULL,
  PRIMARY KEY (minute, class)
) STRICT, WITHOUT ROWID;
