-- Late flights: a week of real departures out of New York (1–7 January 2013), counted per scheduled hour and airport.
--
-- The file is in the order of actual departures, so with the scheduled time as event time it is out of order as the
-- real world is. The watermark waits 60 minutes; a flight that leaves later than that behind the others finds its
-- hour closed and goes to a table of its own. Both tables are exactly-once files, published with each checkpoint:
-- kill the process anywhere, run the same command again, and the answer is the same.
--
-- verify: restore parallelism batch ordered
-- golden: departures 373 rows, late_flights 194 rows, stdout 8 rows
-- closes: departures = hour_start + INTERVAL '1' HOUR
-- batch: departures = SELECT hour_start, origin, SUM(flights) FROM (
--   SELECT hour_start, origin, flights FROM departures
--   UNION ALL SELECT window_end - INTERVAL '1' HOUR, origin, 1 FROM late_flights
--   ) GROUP BY hour_start, origin

SET 'execution.checkpointing.interval' = '1 s';

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

CREATE TABLE departures (hour_start TIMESTAMP(3), origin STRING, flights BIGINT) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/departures',
  'format' = 'csv'
);

CREATE TABLE late_flights (
  sched       TIMESTAMP(3),
  dep         TIMESTAMP(3),
  carrier     STRING,
  flight      INT,
  origin      STRING,
  dest        STRING,
  `watermark` TIMESTAMP(3),
  window_end  TIMESTAMP(3),
  lateness_ms BIGINT,
  reason      STRING
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/late_flights',
  'format' = 'csv'
);

INSERT INTO departures
SELECT window_start, origin, COUNT(*)
FROM TUMBLE(TABLE flights, DESCRIPTOR(sched), INTERVAL '1' HOUR)
GROUP BY window_start, window_end, origin
LATE RECORDS INTO late_flights;

-- What the files hold now, as a batch query over bounded tables.
SET 'execution.runtime-mode' = 'batch';

SELECT hour_start, origin, flights
FROM departures
ORDER BY flights DESC, hour_start, origin
LIMIT 5;

SELECT origin, COUNT(*) AS late, MAX(lateness_ms) / 60000 AS latest_minutes
FROM late_flights
GROUP BY origin
ORDER BY origin;
