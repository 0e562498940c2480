//! What Flink has is accepted, or called what it is: "not built yet". Nothing of it is taken for a mistake in spelling.

use std::fmt::Write;

use beadline::error::Error;
use beadline::session::{Finding, Session};

/// The functions of Flink 2.3 that a query calls by name: SHOW FUNCTIONS, and those of its table of operators.
const FUNCTIONS: &str = "
ABS ACOS APPROX_COUNT_DISTINCT ARRAY_AGG ARRAY_APPEND ARRAY_CONCAT ARRAY_CONTAINS ARRAY_DISTINCT ARRAY_EXCEPT
ARRAY_INTERSECT ARRAY_JOIN ARRAY_MAX ARRAY_MIN ARRAY_POSITION ARRAY_PREPEND ARRAY_REMOVE ARRAY_REVERSE ARRAY_SLICE
ARRAY_SORT ARRAY_UNION ASCII ASIN ATAN ATAN2 AVG BIN BITMAP_AND BITMAP_ANDNOT BITMAP_AND_AGG BITMAP_AND_CARDINALITY_AGG
BITMAP_BUILD BITMAP_BUILD_AGG BITMAP_BUILD_CARDINALITY_AGG BITMAP_CARDINALITY BITMAP_FROM_BYTES BITMAP_OR BITMAP_OR_AGG
BITMAP_OR_CARDINALITY_AGG BITMAP_TO_ARRAY BITMAP_TO_BYTES BITMAP_TO_STRING BITMAP_XOR BITMAP_XOR_AGG
BITMAP_XOR_CARDINALITY_AGG BTRIM CARDINALITY CEIL CEILING CHARACTER_LENGTH CHAR_LENGTH CHR COALESCE COLLECT CONCAT
CONCAT_WS CONVERT_TZ COS COSH COT COUNT CUME_DIST CURRENT_DATABASE CURRENT_DATE CURRENT_ROW_TIMESTAMP CURRENT_TIME
CURRENT_TIMESTAMP CURRENT_WATERMARK DATE_FORMAT DAYOFMONTH DAYOFWEEK DAYOFYEAR DECODE DEGREES DENSE_RANK E ELEMENT ELT
ENCODE ENDSWITH EXP FIRST_VALUE FLOOR FROM_BASE64 FROM_UNIXTIME GREATEST GROUPING GROUPING_ID GROUP_ID HASH_CODE HEX
HOP_END HOP_PROCTIME HOP_ROWTIME HOP_START HOUR IF IFNULL INET_ATON INET_NTOA INITCAP INSTR IS_ALPHA IS_DECIMAL IS_DIGIT
IS_JSON JSON JSON_ARRAY JSON_ARRAYAGG JSON_EXISTS JSON_OBJECT JSON_OBJECTAGG JSON_QUERY JSON_QUOTE JSON_STRING
JSON_UNQUOTE JSON_VALUE LAG LAST_VALUE LEAD LEAST LEFT LISTAGG LN LOCALTIME LOCALTIMESTAMP LOCATE LOG LOG10 LOG2 LOWER
LPAD LTRIM MAP_ENTRIES MAP_FROM_ARRAYS MAP_KEYS MAP_UNION MAP_VALUES MATCH_PROCTIME MATCH_ROWTIME MAX MD5 MIN MINUTE MOD
MONTH NOW NTILE NULLIF OBJECT_OF OBJECT_UPDATE PARSE_JSON PARSE_URL PERCENTILE PERCENT_RANK PI POWER PRINTF PROCTIME
QUARTER RADIANS RAND RAND_INTEGER RANK REGEXP REGEXP_COUNT REGEXP_EXTRACT REGEXP_EXTRACT_ALL REGEXP_INSTR REGEXP_REPLACE
REGEXP_SUBSTR REPEAT REPLACE REVERSE RIGHT ROUND ROW_NUMBER RPAD RTRIM SECOND SESSION_END SESSION_PROCTIME
SESSION_ROWTIME SESSION_START SHA1 SHA2 SHA224 SHA256 SHA384 SHA512 SIGN SIN SINGLE_VALUE SINH SOURCE_WATERMARK SPLIT
SPLIT_INDEX SQRT STARTSWITH STDDEV STDDEV_POP STDDEV_SAMP STREAMRECORD_TIMESTAMP STR_TO_MAP SUBSTR SUBSTRING SUM TAN
TANH TIMESTAMPADD TIMESTAMPDIFF TO_BASE64 TO_DATE TO_TIMESTAMP TO_TIMESTAMP_LTZ TRANSLATE TRANSLATE3 TRIM TRUNCATE
TRY_PARSE_JSON TUMBLE_END TUMBLE_PROCTIME TUMBLE_ROWTIME TUMBLE_START TYPEOF UNHEX UNIX_TIMESTAMP UPPER URL_DECODE
URL_ENCODE UUID VARIANCE VAR_POP VAR_SAMP WEEK YEAR
";

/// Statements and clauses, one a line.
const STATEMENTS: &str = include_str!("../data/flink_statements.txt");

const TABLES: &str = "
CREATE TABLE e (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND) WITH ('connector' = 'filesystem', 'path' = 'tests/data/eight_rows.csv', 'format' = 'csv');
CREATE TABLE p (id INT, at_time TIMESTAMP(3)) WITH ('connector' = 'filesystem', 'path' = 'tests/data/eight_rows.csv', 'format' = 'csv');
CREATE TABLE hole (k INT, n BIGINT) WITH ('connector' = 'blackhole');
CREATE VIEW v AS SELECT id FROM e;
";

fn refusals(statement: &str) -> Vec<Error> {
    let checked = Session::new().check(&format!("{TABLES}{statement}"));
    let refused = checked.findings.into_iter().filter_map(|finding| match finding {
        Finding::Refusal(error) => Some(error),
        _ => None,
    });
    refused.collect()
}

/// What was said of something of Flink's that does not call it by its name.
fn misnamed(statement: &str, is_named: impl Fn(&str) -> bool) -> String {
    let errors = refusals(statement);
    let wrong = errors.iter().filter(|error| !error.message().contains("not built yet") && !is_named(error.message()));
    wrong.fold(String::new(), |mut said, error| {
        let _ = writeln!(said, "{statement}\n    {error}");
        said
    })
}

#[test]
fn every_function_of_flink_is_there_or_called_not_built() {
    let mut wrong = String::new();
    for name in FUNCTIONS.split_whitespace() {
        // What is there may not take this argument, and says so by its name.
        wrong += &misnamed(&format!("SELECT {name}(id) FROM e"), |message| message.contains(name));
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_statement_of_flink_is_there_or_called_not_built() {
    let mut wrong = String::new();
    for statement in STATEMENTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        wrong += &misnamed(statement, |_| false);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
