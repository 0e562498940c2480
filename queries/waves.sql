-- Waves of departures: flights that leave an airport no more than six minutes one after the other belong to one wave,
-- and a wave ends when nothing has left for longer. How long do the waves last, and how many flights are in them?
-- Windows that the data make: SESSION, one set of them for each airport.
--
-- HAVING keeps the waves of ten flights and more. The nights part the days, so that nothing is open for long.
--
-- verify: restore parallelism ordered
-- golden: waves 190 rows, stdout 5 rows

SET 'execution.checkpointing.interval' = '1 s';

CREATE TABLE flights (
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

CREATE TABLE waves (
  origin     STRING,
  first_left TIMESTAMP(3),
  last_left  TIMESTAMP(3),
  flights    BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/waves',
  'format' = 'csv'
);

INSERT INTO waves
SELECT origin, window_start, MAX(dep), COUNT(*)
FROM SESSION(TABLE flights PARTITION BY origin, DESCRIPTOR(dep), INTERVAL '6' MINUTE)
GROUP BY origin, window_start, window_end
HAVING COUNT(*) >= 10;

-- The five longest.
SET 'execution.runtime-mode' = 'batch';

SELECT origin, first_left, TIMESTAMPDIFF(MINUTE, first_left, last_left) AS minutes, flights
FROM waves
ORDER BY minutes DESC, first_left, origin
LIMIT 5;
