-- Punctuality: which airline leaves Kennedy and La Guardia on time? An analyst's question to a folder of log files.
--
-- There is no window, so every row may correct the answer. The input ends, and what is printed is where the answer ends
-- up. To see how it gets there:
--   beadline --changes queries/punctuality.sql
-- Each row then leads with a column `op`: +I a new airline, -U and +U its old and its new figures.
--
-- verify: parallelism batch
-- golden: stdout 14 rows

CREATE TABLE flights (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/airports',
  'format' = 'csv'
);

-- On time is, as airlines count, less than 15 minutes after schedule.
SELECT
  carrier,
  COUNT(*) AS flights,
  SUM(CASE WHEN dep < sched + INTERVAL '15' MINUTE THEN 1 ELSE 0 END) * 100 / COUNT(*)
    AS on_time_percent,
  MAX(TIMESTAMPDIFF(MINUTE, sched, dep)) AS worst_minutes
FROM flights
WHERE origin IN ('JFK', 'LGA')
GROUP BY carrier;
