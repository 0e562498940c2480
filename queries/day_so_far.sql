-- The day so far: how many flights has each airport sent off since midnight, looked at every four hours? CUMULATE gives
-- each day one window a step; all start at midnight, and each holds what the one before held and more.
--
-- An airport stands in every step from its first flight of the day on, whether new ones came or not: the figures of a
-- step are whole. The last step is the day itself.
--
-- verify: restore parallelism batch ordered
-- golden: day_so_far 116 rows, stdout 5 rows
-- closes: day_so_far = seen_at

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

CREATE TABLE day_so_far (
  day_start TIMESTAMP(3),
  seen_at   TIMESTAMP(3),
  origin    STRING,
  flights   BIGINT,
  delayed   BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/day_so_far',
  'format' = 'csv'
);

INSERT INTO day_so_far
SELECT
  window_start,
  window_end,
  origin,
  COUNT(*),
  COUNT(*) FILTER (WHERE TIMESTAMPDIFF(MINUTE, sched, dep) >= 15)
FROM CUMULATE(TABLE flights, DESCRIPTOR(dep), INTERVAL '4' HOUR, INTERVAL '1' DAY)
GROUP BY window_start, window_end, origin;

-- How the third of January went at Newark.
SET 'execution.runtime-mode' = 'batch';

SELECT seen_at, flights, delayed
FROM day_so_far
WHERE day_start = TIMESTAMP '2013-01-03 00:00:00' AND origin = 'EWR'
ORDER BY seen_at;
