-- Flights out of New York, counted by the days of somebody in Berlin, where a plane that leaves at six in the evening
-- leaves at midnight. The times in the file are New York's: which instants they are is said once, where they are read.
-- Windows over instants lie in the session's zone, so a day begins when Berlin's clocks show midnight.
--
-- Without 'table.local-time-zone' the same days would begin at midnight UTC.
--
-- verify: restore parallelism batch ordered
-- golden: berlin_days 24 rows, stdout 3 rows
-- closes: berlin_days = CAST(berlin_day AS TIMESTAMP(3)) + INTERVAL '1' DAY

SET 'execution.checkpointing.interval' = '1 s';
SET 'table.local-time-zone' = 'Europe/Berlin';

CREATE TABLE flights (
  sched   STRING,
  dep     STRING,
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING,
  dep_at  AS TO_TIMESTAMP_LTZ(dep, 'yyyy-MM-dd HH:mm:ss', 'America/New_York'),
  WATERMARK FOR dep_at AS dep_at
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/flights_week1.csv',
  'format' = 'csv'
);

CREATE TABLE berlin_days (
  berlin_day DATE,
  origin     STRING,
  flights    BIGINT,
  first_at   TIMESTAMP(3),
  evening    BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/berlin_days',
  'format' = 'csv'
);

INSERT INTO berlin_days
SELECT
  CAST(window_start AS DATE),
  origin,
  COUNT(*),
  CAST(MIN(dep_at) AS TIMESTAMP(3)),
  COUNT(*) FILTER (WHERE HOUR(dep_at) >= 18)
FROM TUMBLE(TABLE flights, DESCRIPTOR(dep_at), INTERVAL '1' DAY)
GROUP BY window_start, window_end, origin;

-- The third of January, as Berlin has it.
SET 'execution.runtime-mode' = 'batch';

SELECT origin, flights, first_at, evening
FROM berlin_days
WHERE berlin_day = DATE '2013-01-03'
ORDER BY origin;
