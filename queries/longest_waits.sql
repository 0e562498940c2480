-- The longest waits of the week: how many flights to each place left at least three hours late? A question to a file, and
-- its answer in order.
--
-- ORDER BY and LIMIT are for the answer, when all rows have been read. Only the ten rows that are shown are kept.
--
-- verify: parallelism batch ordered
-- golden: stdout 10 rows

CREATE TABLE flights (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/flights_week1.csv',
  'format' = 'csv'
);

SELECT dest, COUNT(*) AS flights, MAX(TIMESTAMPDIFF(MINUTE, sched, dep)) AS worst_minutes
FROM flights
WHERE dep >= sched + INTERVAL '3' HOUR
GROUP BY dest
ORDER BY flights DESC, worst_minutes DESC, dest
LIMIT 10;
