-- Bookings as a web shop sends them: JSON with rows in rows, an array of legs, a map of extras, an array of tags.
--
-- A field is named with a point (`contact.address.city`), an element by its number (`legs[1]`), a value by its key
-- (`extras['bag']`). UNNEST makes rows of what is inside: of the legs, so that seats are counted an hour by where they go
-- to, and of the extras, which are added up by kind. The time of a booking stays the time of its rows, so that windows
-- close as they do without.
--
-- verify: parallelism batch
-- golden: seats_by_hour 42 rows, extras_by_city 20 rows, stdout 6 rows

SET 'execution.checkpointing.interval' = '1 s';

CREATE TABLE bookings (
  booking BIGINT,
  made    TIMESTAMP(3),
  contact ROW<name STRING, address ROW<city STRING, zip STRING>>,
  legs    ARRAY<ROW<flight STRING, dest STRING, fare DECIMAL(8, 2)>>,
  extras  MAP<STRING, INT>,
  tags    ARRAY<STRING>,
  WATERMARK FOR made AS made
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/bookings.jsonl',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
);

CREATE TABLE seats_by_hour (
  hour_start TIMESTAMP(3),
  dest       STRING,
  seats      BIGINT,
  fares      DECIMAL(18, 2),
  first_legs BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/seats_by_hour',
  'format' = 'json'
);

CREATE TABLE extras_by_city (
  day_start TIMESTAMP(3),
  city      STRING,
  extra     STRING,
  pieces    INT,
  with_bag  BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/extras_by_city',
  'format' = 'json'
);

EXECUTE STATEMENT SET BEGIN
  INSERT INTO seats_by_hour
  SELECT window_start, dest, COUNT(*), SUM(fare), COUNT(*) FILTER (WHERE flight = first_flight)
  FROM TUMBLE(
    (
      SELECT made, flight, dest, fare, legs[1].flight AS first_flight
      FROM bookings
      CROSS JOIN UNNEST(legs) AS l(flight, dest, fare)
    ),
    DESCRIPTOR(made),
    INTERVAL '1' HOUR
  )
  GROUP BY window_start, window_end, dest;

  INSERT INTO extras_by_city
  SELECT window_start, city, extra, SUM(pieces), COUNT(bags)
  FROM TUMBLE(
    (
      SELECT made, contact.address.city AS city, extra, pieces, extras['bag'] AS bags
      FROM bookings
      CROSS JOIN UNNEST(extras) AS e(extra, pieces)
    ),
    DESCRIPTOR(made),
    INTERVAL '1' DAY
  )
  GROUP BY window_start, window_end, city, extra;
END;

SELECT
  tag,
  COUNT(*) AS bookings,
  MAX(CARDINALITY(legs)) AS most_legs,
  MIN(legs[1].fare) AS least_fare
FROM bookings
LEFT JOIN UNNEST(tags) AS t(tag) ON TRUE
GROUP BY tag;
