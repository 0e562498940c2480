-- Routes by day: how varied was each day at each airport? Different values counted, and how far delays spread.
--
-- COUNT(DISTINCT …) keeps each value once a window and airport; calls over the same column share them, whatever their
-- FILTER. A variance is computed of DOUBLEs here: of whole numbers it is a whole number.
--
-- verify: parallelism restore batch
-- golden: routes 21 rows
-- closes: routes = `day` + INTERVAL '1' DAY

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

CREATE TABLE routes (
  `day`        TIMESTAMP(3),
  origin       STRING,
  flights      BIGINT,
  carriers     BIGINT,
  destinations BIGINT,
  of_united    BIGINT,
  spread       DOUBLE
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/routes',
  'format' = 'csv'
);

INSERT INTO routes
SELECT
  window_start,
  origin,
  COUNT(*),
  COUNT(DISTINCT carrier),
  COUNT(DISTINCT dest),
  COUNT(DISTINCT dest) FILTER (WHERE carrier = 'UA'),
  ROUND(STDDEV_POP(CAST(TIMESTAMPDIFF(MINUTE, sched, dep) AS DOUBLE)), 1)
FROM TUMBLE(TABLE flights, DESCRIPTOR(sched), INTERVAL '1' DAY)
GROUP BY window_start, window_end, origin;
