-- Departures by day: one question to two sources. Until 7 January there was one file for all airports; since then each
-- airport delivers its own. A view puts them together, so that queries need not know.
--
-- Every file is a split with a watermark of its own, and the one that is furthest behind in time is read next: in
-- whatever order the files lie there, days are completed one after the other, and no row is late for another file.
-- (A pattern as a path is ours; Flink takes the directory.)
--
-- verify: restore parallelism batch ordered
-- golden: days 32 rows, stdout 9 rows
-- closes: days = CAST(departed AS TIMESTAMP(3)) + INTERVAL '1' DAY

SET 'execution.checkpointing.interval' = '1 s';

CREATE TABLE first_week (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING,
  WATERMARK FOR dep AS dep
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/flights_week1.csv',
  'format' = 'csv'
);

CREATE TABLE airports (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING,
  WATERMARK FOR dep AS dep
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/airports/departures_*.csv',
  'format' = 'csv'
);

CREATE VIEW all_flights AS
SELECT sched, dep, origin FROM first_week
UNION ALL
SELECT sched, dep, origin FROM airports;

CREATE TABLE days (
  departed STRING,
  origin   STRING,
  flights  BIGINT,
  delayed  BIGINT,
  night    BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/days',
  'format' = 'csv'
);

INSERT INTO days
WITH delays AS (
  SELECT dep, origin, TIMESTAMPDIFF(MINUTE, sched, dep) AS delay
  FROM all_flights
)
SELECT
  DATE_FORMAT(window_start, 'yyyy-MM-dd'),
  origin,
  COUNT(*),
  COUNT(CASE WHEN delay >= 15 THEN 1 END),
  COUNT(*) FILTER (WHERE HOUR(dep) < 6 OR HOUR(dep) >= 22)
FROM TUMBLE(TABLE delays, DESCRIPTOR(dep), INTERVAL '1' DAY)
GROUP BY window_start, window_end, origin;

-- The days on which one flight in five was delayed.
SET 'execution.runtime-mode' = 'batch';

SELECT departed, origin, flights, delayed
FROM days
WHERE delayed * 5 >= flights
ORDER BY departed, origin;
