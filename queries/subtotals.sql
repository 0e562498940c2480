-- Subtotals: flights by day, airport and airline, with a row for each airport and one for the day (ROLLUP).
--
-- A row counts once in a group of each set. What a set leaves out is NULL there; GROUPING tells that apart from a value
-- that is missing: 0 for airport and airline, 1 for all of an airport, 3 for the day.
--
-- verify: parallelism restore batch
-- golden: subtotals 245 rows
-- closes: subtotals = `day` + INTERVAL '1' DAY

CREATE TABLE flights (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING,
  WATERMARK FOR sched AS sched - INTERVAL '1' DAY
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/flights_week1.csv',
  'format' = 'csv'
);

CREATE TABLE subtotals (
  `day`   TIMESTAMP(3),
  origin  STRING,
  carrier STRING,
  level   BIGINT,
  flights BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/subtotals',
  'format' = 'csv',
  'csv.null-literal' = '-'
);

INSERT INTO subtotals
SELECT window_start, origin, carrier, GROUPING(origin, carrier), COUNT(*)
FROM TUMBLE(TABLE flights, DESCRIPTOR(sched), INTERVAL '1' DAY)
GROUP BY window_start, window_end, ROLLUP(origin, carrier);
