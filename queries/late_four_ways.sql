-- Four ways with late rows: leave them out, wait longer, correct what was said, keep them in a table of their own. The same
-- week of departures for each, counted per scheduled hour, and what came of all its hours together.
--
-- 6,064 flights left, and the file is in the order of departures. With a watermark of 60 minutes 194 of them are late. A
-- watermark of 3 hours leaves out 23, and each hour is told 2 hours later. Corrections reach the same 6,041, but each hour
-- is told as soon as with 60 minutes, and told again when a late flight changes it.
--
-- verify: parallelism ordered
-- golden: four_ways_hours 133 rows, four_ways_late 194 rows, stdout 4 rows

CREATE TABLE flights (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING,
  WATERMARK FOR sched AS sched - INTERVAL '60' MINUTE
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/flights_week1.csv',
  'format' = 'csv'
);

CREATE TABLE patient_flights (WATERMARK FOR sched AS sched - INTERVAL '3' HOUR) LIKE flights (
  OVERWRITING WATERMARKS
);

-- 1. Leave them out: nothing is said of them, and the footer counts them.
SELECT 'leave out' AS way, SUM(flights) AS flights
FROM (
  SELECT COUNT(*) AS flights
  FROM flights
  GROUP BY TUMBLE(sched, INTERVAL '1' HOUR)
);

-- 2. Wait longer.
SELECT 'wait' AS way, SUM(flights) AS flights
FROM (
  SELECT COUNT(*) AS flights
  FROM patient_flights
  GROUP BY TUMBLE(sched, INTERVAL '1' HOUR)
);

-- 3. Correct: for 2 hours behind its end a window takes late rows, and each updates its result.
SET 'table.exec.emit.late-fire.enabled' = 'true';
SET 'table.exec.emit.late-fire.delay' = '0 s';
SET 'table.exec.emit.allow-lateness' = '2 h';

SELECT 'correct' AS way, SUM(flights) AS flights
FROM (
  SELECT COUNT(*) AS flights
  FROM flights
  GROUP BY TUMBLE(sched, INTERVAL '1' HOUR)
);

RESET 'table.exec.emit.late-fire.enabled';

-- 4. Keep them apart: both tables are files that are written exactly once.
CREATE TABLE four_ways_hours (hour_start TIMESTAMP(3), flights BIGINT) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/four_ways_hours',
  'format' = 'csv'
);

CREATE TABLE four_ways_late (
  carrier      STRING,
  flight       INT,
  window_start TIMESTAMP(3),
  lateness_ms  BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/four_ways_late',
  'format' = 'csv'
);

INSERT INTO four_ways_hours
SELECT window_start, COUNT(*)
FROM TUMBLE(TABLE flights, DESCRIPTOR(sched), INTERVAL '1' HOUR)
GROUP BY window_start, window_end
LATE RECORDS INTO four_ways_late;

SET 'execution.runtime-mode' = 'batch';

SELECT 'side table' AS way, SUM(flights) AS flights
FROM (
  SELECT flights FROM four_ways_hours
  UNION ALL
  SELECT CAST(1 AS BIGINT) FROM four_ways_late
);
