//! What is asked of both: windows of each kind, groupings, aggregates. The peer's texts are those that do the least
//! work: panes that are counted once where windows overlap.

/// One query.
pub struct Case {
    pub name: String,
    pub ours: String,
    /// The columns of the result, the last one named `result`.
    pub result: String,
    pub settings: &'static [(&'static str, &'static str)],
    /// The same in the dialect of the peers, with the same last column.
    pub theirs: String,
    /// The columns of the rows that it reads.
    pub columns: &'static str,
    /// The column by which state is told a key.
    pub key: &'static str,
}

/// All of them, those of windows first.
pub fn cases() -> Vec<Case> {
    let mut cases = windows();
    cases.extend(groups());
    for (name, ours, theirs, result) in AGGREGATES {
        cases.push(Case {
            name: format!("TUMBLE: {name}"),
            ours: format!(
                "SELECT auction, window_start, {ours} AS result FROM TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND) \
                 GROUP BY auction, window_start, window_end"
            ),
            result: format!("auction BIGINT, w TIMESTAMP(3), result {result}"),
            settings: &[],
            theirs: format!("SELECT auction, {TEN_SECONDS} AS w, {theirs} AS result FROM bids GROUP BY 1, 2"),
            columns: "id, auction, bidder, price, channel, high, ts",
            key: "auction",
        });
    }
    // Without windows each change holds the whole result, so only those whose result does not grow.
    let growing = ["LISTAGG", "COLLECT", "ARRAY_AGG", "JSON", "PERCENTILE"];
    for (name, ours, theirs, result) in AGGREGATES {
        if growing.iter().any(|grows| name.starts_with(grows)) {
            continue;
        }
        cases.push(Case {
            name: format!("per channel: {name}"),
            ours: format!("SELECT channel, {ours} AS result FROM bids GROUP BY channel"),
            result: format!("channel STRING, result {result}"),
            settings: &[],
            theirs: format!("SELECT channel, {theirs} AS result FROM bids GROUP BY 1"),
            columns: "id, bidder, price, channel, high, ts",
            key: "channel",
        });
    }
    cases
}

const TEN_SECONDS: &str = "date_bin(INTERVAL '10 seconds', ts)";

/// Name, ours, theirs, the type of the result.
const AGGREGATES: &[(&str, &str, &str, &str)] = &[
    ("COUNT(*)", "COUNT(*)", "count(*)", "BIGINT"),
    ("COUNT(*) FILTER", "COUNT(*) FILTER (WHERE high)", "count(*) FILTER (WHERE high)", "BIGINT"),
    ("COUNT(DISTINCT)", "COUNT(DISTINCT bidder)", "count(DISTINCT bidder)", "BIGINT"),
    ("SUM of BIGINT", "SUM(bidder)", "sum(bidder)", "BIGINT"),
    ("SUM of DOUBLE", "SUM(price)", "sum(price)", "DOUBLE"),
    ("AVG", "AVG(price)", "avg(price)", "DOUBLE"),
    ("MIN", "MIN(price)", "min(price)", "DOUBLE"),
    ("MAX", "MAX(price)", "max(price)", "DOUBLE"),
    ("MAX of STRING", "CHAR_LENGTH(MAX(channel))", "length(max(channel))", "INT"),
    ("VAR_POP", "VAR_POP(price)", "var_pop(price)", "DOUBLE"),
    ("VAR_SAMP", "VAR_SAMP(price)", "var_samp(price)", "DOUBLE"),
    ("STDDEV_POP", "STDDEV_POP(price)", "stddev_pop(price)", "DOUBLE"),
    ("STDDEV_SAMP", "STDDEV_SAMP(price)", "stddev_samp(price)", "DOUBLE"),
    ("FIRST_VALUE", "FIRST_VALUE(price)", "first(price)", "DOUBLE"),
    ("LAST_VALUE", "LAST_VALUE(price)", "last(price)", "DOUBLE"),
    ("LISTAGG", "LISTAGG(channel)", "string_agg(channel, ',')", "STRING"),
    ("COLLECT", "COLLECT(bidder)", "histogram(bidder)", "MULTISET<BIGINT>"),
    ("ARRAY_AGG", "ARRAY_AGG(bidder)", "array_agg(bidder)", "ARRAY<BIGINT>"),
    ("JSON_ARRAYAGG", "JSON_ARRAYAGG(bidder)", "json_group_array(bidder)", "STRING"),
    (
        "JSON_OBJECTAGG",
        "JSON_OBJECTAGG(CAST(id AS STRING) VALUE bidder)",
        "json_group_object(CAST(id AS VARCHAR), bidder)",
        "STRING",
    ),
    ("APPROX_COUNT_DISTINCT", "APPROX_COUNT_DISTINCT(bidder)", "approx_count_distinct(bidder)", "BIGINT"),
    ("APPROX_PERCENTILE", "APPROX_PERCENTILE(price, 0.9)", "approx_quantile(price, 0.9)", "DOUBLE"),
    ("PERCENTILE", "PERCENTILE(price, 0.9)", "quantile_cont(price, 0.9)", "DOUBLE"),
];

fn windows() -> Vec<Case> {
    let over = |window: &str| {
        format!(
            "SELECT auction, window_start, window_end, COUNT(*) AS result FROM {window} \
             GROUP BY auction, window_start, window_end"
        )
    };
    let case = |name: &str, ours: String, theirs: &str| Case {
        name: name.to_owned(),
        ours,
        result: "auction BIGINT, w TIMESTAMP(3), e TIMESTAMP(3), result BIGINT".to_owned(),
        settings: &[],
        theirs: theirs.to_owned(),
        columns: "auction, ts",
        key: "auction",
    };
    let tumble = "SELECT auction, date_bin(INTERVAL '10 seconds', ts) AS w, count(*) AS result FROM bids GROUP BY 1, 2";
    let panes = "WITH panes AS (SELECT auction, date_bin(INTERVAL '2 seconds', ts) AS pane, count(*) AS n FROM bids GROUP BY 1, 2)";
    let steps = "CROSS JOIN (VALUES (INTERVAL '0 seconds'), (INTERVAL '2 seconds'), (INTERVAL '4 seconds'), \
                 (INTERVAL '6 seconds'), (INTERVAL '8 seconds')) AS steps (step)";
    let hop = format!("{panes} SELECT auction, pane - step AS w, sum(n) AS result FROM panes {steps} GROUP BY 1, 2");
    let cumulate = format!(
        "{panes} SELECT auction, date_bin(INTERVAL '10 seconds', pane) AS w, step, sum(n) AS result FROM panes {steps} \
         WHERE pane <= date_bin(INTERVAL '10 seconds', pane) + step GROUP BY 1, 2, 3"
    );
    let session = "WITH marked AS (SELECT auction, ts, CASE WHEN ts - lag(ts) OVER (PARTITION BY auction ORDER BY ts) \
         <= INTERVAL '1 second' THEN 0 ELSE 1 END AS begins FROM bids), \
         numbered AS (SELECT auction, ts, sum(begins) OVER (PARTITION BY auction ORDER BY ts) AS number FROM marked) \
         SELECT auction, number, min(ts) AS w, max(ts) AS e, count(*) AS result FROM numbered GROUP BY 1, 2";
    vec![
        case("TUMBLE 10 s", over("TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND)"), tumble),
        case(
            "HOP 10 s / 2 s",
            over("HOP(TABLE bids, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND)"),
            &hop,
        ),
        case(
            "CUMULATE 10 s / 2 s",
            over("CUMULATE(TABLE bids, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND)"),
            &cumulate,
        ),
        case(
            "SESSION 1 s",
            over("SESSION(TABLE bids PARTITION BY auction, DESCRIPTOR(ts), INTERVAL '1' SECOND)"),
            session,
        ),
        Case {
            result: "auction BIGINT, w TIMESTAMP(3), result BIGINT".to_owned(),
            settings: &[
                ("table.exec.emit.early-fire.enabled", "true"),
                ("table.exec.emit.early-fire.delay", "1 s"),
                ("table.exec.emit.late-fire.enabled", "true"),
                ("table.exec.emit.late-fire.delay", "1 s"),
                ("table.exec.emit.allow-lateness", "10 s"),
            ],
            ..case(
                "legacy TUMBLE 10 s, early and late results",
                "SELECT auction, TUMBLE_START(ts, INTERVAL '10' SECOND) AS w, COUNT(*) AS result FROM bids \
                 GROUP BY auction, TUMBLE(ts, INTERVAL '10' SECOND)"
                    .to_owned(),
                tumble,
            )
        },
    ]
}

fn groups() -> Vec<Case> {
    let case = |name: &str, ours: &str, theirs: &str| Case {
        name: name.to_owned(),
        ours: ours.to_owned(),
        result: "auction BIGINT, result BIGINT".to_owned(),
        settings: &[],
        theirs: theirs.to_owned(),
        columns: "auction, ts",
        key: "auction",
    };
    let count = "SELECT auction, COUNT(*) AS result FROM bids GROUP BY auction";
    let item = "SELECT item, COUNT(*) AS result FROM bids GROUP BY item";
    let texts = "SELECT channel, auction, COUNT(*) AS result FROM bids GROUP BY channel, auction";
    vec![
        case("GROUP BY auction", count, count),
        Case {
            result: "channel STRING, auction BIGINT, result BIGINT".to_owned(),
            columns: "channel, auction, ts",
            ..case("GROUP BY channel, auction", texts, texts)
        },
        Case {
            result: "item ROW<auction BIGINT, channel STRING>, result BIGINT".to_owned(),
            columns: "item, ts",
            ..case("GROUP BY a ROW", item, item)
        },
        Case {
            columns: "auction, tags, ts",
            ..case(
                "UNNEST, GROUP BY auction",
                "SELECT auction, SUM(tag) AS result FROM bids CROSS JOIN UNNEST(tags) AS t (tag) GROUP BY auction",
                "SELECT auction, sum(tag) AS result FROM (SELECT auction, unnest(tags) AS tag FROM bids) AS t GROUP BY auction",
            )
        },
    ]
}
