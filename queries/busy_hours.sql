-- Busy hours: when is an airport under the most strain? Any 60 minutes count, looked at every quarter of an hour: a
-- sliding window (HOP), in which each departure is counted four times.
--
-- The time that matters here is the actual departure, and the file is in that order. So the watermark need not wait,
-- and nothing is late. HAVING keeps the full hours only; their average delay stands beside them.
--
-- verify: restore parallelism batch ordered
-- golden: busy_hours 380 rows, stdout 5 rows
-- closes: busy_hours = hour_end

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

CREATE TABLE busy_hours (
  hour_start    TIMESTAMP(3),
  hour_end      TIMESTAMP(3),
  origin        STRING,
  flights       BIGINT,
  delay_minutes INT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/busy_hours',
  'format' = 'csv'
);

INSERT INTO busy_hours
SELECT window_start, window_end, origin, COUNT(*), AVG(TIMESTAMPDIFF(MINUTE, sched, dep))
FROM HOP(TABLE flights, DESCRIPTOR(dep), INTERVAL '15' MINUTE, INTERVAL '1' HOUR)
GROUP BY window_start, window_end, origin
HAVING COUNT(*) > 20;

-- The five fullest hours of the week.
SET 'execution.runtime-mode' = 'batch';

SELECT hour_start, hour_end, origin, flights, delay_minutes
FROM busy_hours
ORDER BY flights DESC, hour_start, origin
LIMIT 5;
