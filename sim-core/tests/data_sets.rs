//! Data sets of documentation, of an engine's own tests and of text books, fed record by record, with
//! the results that follow from their rules by hand: whole jobs, told in the scenario language alone.

mod support;

use support::holds;
use support::listed::{ORDERED, check, sink, source, window};

/// The bids of the page on window functions in Flink's documentation of SQL.
const BIDS: &str = "1s 08:05 bid 4 -
    2s 08:07 bid 2 -
    3s 08:09 bid 5 -
    4s 08:11 bid 3 -
    5s 08:13 bid 1 -
    6s 08:17 bid 6 -";

#[test]
fn bids_in_tumbling_hopping_and_cumulative_windows() {
    for (settings, rows) in [
        (
            "window = { kind = \"tumbling\", size = \"10min\" }",
            "bid 11 08:00..08:10\nbid 10 08:10..08:20",
        ),
        (
            "window = { kind = \"sliding\", size = \"10min\", slide = \"5min\" }",
            "bid 11 08:00..08:10\nbid 15 08:05..08:15\nbid 10 08:10..08:20\nbid 6 08:15..08:25",
        ),
        (
            "window = { kind = \"cumulate\", size = \"10min\", step = \"2min\" }",
            "bid 4 08:00..08:06\nbid 6 08:00..08:08\nbid 11 08:00..08:10\nbid 3 08:10..08:12\n\
             bid 4 08:10..08:14\nbid 4 08:10..08:16\nbid 10 08:10..08:18\nbid 10 08:10..08:20",
        ),
    ] {
        let rows = format!("key value window\n{rows}");
        let parts = [
            source("bids", BIDS),
            window("sums", "bids", settings),
            sink("out", "sums", ORDERED, &rows),
        ];
        check("bids", &parts);
    }
}

/// Orders are priced at the rate of their time, whenever the rate became known.
#[test]
fn orders_at_the_rate_of_their_time() {
    let orders = "1s 10:15 Euro 2 -\n2s 10:30 USD 1 -\n3s 10:32 Yen 50 -\n4s 10:52 Euro 3 -\n5s 11:04 USD 5 -";
    let rates = "1s 09:00 Yen 102 -\n1s 09:00 Euro 114 -\n1s 09:00 USD 1 -\n2s 10:45 Euro 116 -\n\
                 3s 11:15 Euro 119 -\n3s 11:49 Pounds 108 -";
    let join = "[[stream.join]]\nname = \"priced\"\nkind = \"temporal\"\nleft = \"orders\"\nright = \"rates\"\n\n";
    check(
        "currency rates",
        &[
            source("orders", orders),
            source("rates", rates),
            join.to_owned(),
            sink(
                "out",
                "priced",
                "",
                "key value right\nEuro 2 114\nUSD 1 1\nYen 50 102\nEuro 3 116\nUSD 5 1",
            ),
        ],
    );
}

/// The pictures of the page on joins: numbers that are their own times, in ms.
#[test]
fn pairs_of_the_page_on_joins() {
    let side = |name: &str, times: &[u32]| {
        let rows = (1..)
            .zip(times)
            .map(|(at, ts)| format!("{at}s {ts} k {ts} -"));
        source(name, &rows.collect::<Vec<_>>().join("\n"))
    };
    let join = |settings: &str| {
        format!(
            "[[stream.join]]\nname = \"pairs\"\nleft = \"orange\"\nright = \"green\"\n{settings}\n\n"
        )
    };
    let rows = |columns: &str, pairs: &[&str]| {
        let rows = pairs.iter().map(|pair| format!("\nk {pair}"));
        format!("key value right{columns}{}", rows.collect::<String>())
    };
    check(
        "tumbling",
        &[
            side("orange", &[0, 1, 2, 3, 4, 5, 6, 7]),
            side("green", &[0, 1, 3, 4]),
            join("kind = \"window\"\nsize = \"2ms\""),
            sink(
                "out",
                "pairs",
                "",
                &rows(
                    "",
                    &["0 0", "0 1", "1 0", "1 1", "2 3", "3 3", "4 4", "5 4"],
                ),
            ),
        ],
    );
    let sliding = [
        "0 0 -1ms..1ms",
        "0 0 0ms..2ms",
        "1 0 0ms..2ms",
        "2 3 2ms..4ms",
        "3 3 2ms..4ms",
        "3 3 3ms..5ms",
        "3 4 3ms..5ms",
        "4 3 3ms..5ms",
        "4 4 3ms..5ms",
        "4 4 4ms..6ms",
    ];
    check(
        "sliding",
        &[
            side("orange", &[0, 1, 2, 3, 4]),
            side("green", &[0, 3, 4]),
            join("kind = \"window\"\nsize = \"2ms\"\nslide = \"1ms\""),
            sink("out", "pairs", "", &rows(" window", &sliding)),
        ],
    );
    // Three sessions: the last one has nothing of the right side.
    check(
        "session",
        &[
            side("orange", &[1, 2, 5, 6, 8, 9]),
            side("green", &[0, 4, 5]),
            join("kind = \"window\"\ngap = \"1ms\""),
            sink(
                "out",
                "pairs",
                "",
                &rows(
                    " window",
                    &[
                        "1 0 0ms..3ms",
                        "2 0 0ms..3ms",
                        "5 4 4ms..7ms",
                        "5 5 4ms..7ms",
                        "6 4 4ms..7ms",
                        "6 5 4ms..7ms",
                    ],
                ),
            ),
        ],
    );
    // Windows of two milliseconds that begin at odd ones.
    check(
        "shifted",
        &[
            side("orange", &[0, 1, 2, 3, 4, 5]),
            side("green", &[0, 1, 3, 4]),
            join("kind = \"window\"\nsize = \"2ms\"\noffset = \"1ms\""),
            sink(
                "out",
                "pairs",
                "",
                &rows("", &["0 0", "1 1", "2 1", "3 3", "4 3", "3 4", "4 4"]),
            ),
        ],
    );
    check(
        "interval",
        &[
            side("orange", &[0, 2, 3, 4, 5, 7]),
            side("green", &[0, 1, 6, 7]),
            join("kind = \"interval\"\nlower = \"-2ms\"\nupper = \"1ms\""),
            sink(
                "out",
                "pairs",
                "",
                &rows(
                    "",
                    &["0 0", "0 1", "2 0", "2 1", "3 1", "5 6", "7 6", "7 7"],
                ),
            ),
        ],
    );
}

/// Tips of an hour by driver, and the most of all drivers: a window behind a window, and rows whose
/// key does not matter, as those of `windowAll` have none.
#[test]
fn the_best_tips_of_each_hour() {
    let all =
        "[[stream.map]]\nname = \"all\"\ninput = \"hourly\"\nfunction = \"key-modulo\"\nn = 0\n\n";
    check(
        "hourly tips",
        &[
            source(
                "tips",
                "1s 0min d1 1 -\n2s 20min d1 5 -\n3s 5min d2 20 -\n4s 2h d1 10 -",
            ),
            window(
                "hourly",
                "tips",
                "window = { kind = \"tumbling\", size = \"1h\" }",
            ),
            all.to_owned(),
            window(
                "best",
                "all",
                "window = { kind = \"tumbling\", size = \"1h\" }\naggregate = \"max\"",
            ),
            sink("out", "best", ORDERED, "value window\n20 0h..1h\n10 2h..3h"),
        ],
    );
}

/// A mean of means is not the mean: (1 + 2 + 3) ÷ 3 and 10 are 2 and 10, whose mean is 6; that of all
/// four is 4.
#[test]
fn means() {
    let day = "window = { kind = \"tumbling\", size = \"1d\" }\naggregate = \"average\"";
    let all = |name: &str, input: &str| {
        format!(
            "[[stream.map]]\nname = \"{name}\"\ninput = \"{input}\"\nfunction = \"key-modulo\"\nn = 0\n\n"
        )
    };
    check(
        "means",
        &[
            source(
                "values",
                "1s 1h a 1 -\n2s 2h a 2 -\n3s 3h a 3 -\n4s 4h b 10 -",
            ),
            window("by-key", "values", day),
            all("means", "by-key"),
            window("of-means", "means", day),
            all("every", "values"),
            window("of-all", "every", day),
            sink("o1", "by-key", "", "key value\na 2\nb 10"),
            sink("o2", "of-means", "", "value\n6"),
            sink("o3", "of-all", "", "value\n4"),
        ],
    );
}

/// The records of `testTumblingEventTimeWindows`, `testSlidingEventTimeWindows` of Flink's
/// `WindowOperatorTest` and of its tests of evictors.
#[test]
fn the_window_operators_own_records() {
    let elements = "1s 3999 key2 1 -\n2s 3000 key2 1 -\n3s 20 key1 1 -\n4s 0 key1 1 -\n5s 999 key1 1 -\n\
        6s 1998 key2 1 -\n7s 1999 key2 1 -\n8s 1000 key2 1 -\n20s - - - 999\n21s - - - 1999\n\
        22s - - - 2999\n23s - - - 3999\n24s - - - 4999\n25s - - - 5999\n26s - - - 7999";
    for (settings, rows) in [
        (
            "window = { kind = \"tumbling\", size = \"3s\" }",
            "key1 3 2999\nkey2 3 2999\nkey2 2 5999",
        ),
        (
            "window = { kind = \"sliding\", size = \"3s\", slide = \"1s\" }",
            "key1 3 999\nkey1 3 1999\nkey2 3 1999\nkey1 3 2999\nkey2 3 2999\nkey2 5 3999\n\
             key2 2 4999\nkey2 2 5999",
        ),
    ] {
        let rows = format!("key value ts\n{rows}");
        let parts = [
            source("elements", elements),
            window("sums", "elements", settings),
            sink("out", "sums", "", &rows),
        ];
        check("windows", &parts);
    }
    let counted = "1s 3000 key2 1 -\n2s 3999 key2 1 -\n3s 20 key1 1 -\n4s 0 key1 1 -\n5s 1998 key2 1 -\n\
        6s 1999 key2 1 -\n7s 999 key1 1 -\n8s 1000 key2 1 -\n9s 10999 key1 1 -\n10s 1000 key2 1 -";
    let timed = "1s 3000 key2 1 -\n2s 4000 key2 1 -\n3s 20 key1 1 -\n4s 999 key1 1 -\n5s 3999 key2 1 -\n\
        6s 2999 key2 1 -\n7s 1998 key1 1 -\n8s 1998 key1 1 -\n9s 7000 key2 1 -\n10s 6500 key2 1 -";
    for (elements, evictor, last) in [(counted, "count = 4", 4), (timed, "time = \"2s\"", 2)] {
        let settings = format!(
            "window = {{ kind = \"global\" }}\ntrigger = {{ kind = \"count\", count = 2 }}\n\
             evictor = {{ {evictor} }}"
        );
        let rows = format!("key value\nkey2 2\nkey1 2\nkey2 4\nkey1 4\nkey2 {last}");
        let parts = [
            source("elements", elements),
            window("sums", "elements", &settings),
            sink("out", "sums", ORDERED, &rows),
        ];
        check("evictors", &parts);
    }
}

/// The example `SessionWindowing`: sessions of three keys with a gap of 3 ms.
#[test]
fn sessions_of_three_keys() {
    check(
        "sessions",
        &[
            source(
                "clicks",
                "1s 1 a 1 0\n2s 1 b 1 0\n3s 3 b 1 2\n4s 5 b 1 4\n5s 6 c 1 5\n6s 10 a 1 9\n7s 11 c 1 10",
            ),
            window(
                "sessions",
                "clicks",
                "window = { kind = \"session\", gap = \"3ms\" }",
            ),
            sink(
                "out",
                "sessions",
                "",
                "key value window\na 1 1ms..4ms\nb 3 1ms..8ms\nc 1 6ms..9ms\na 1 10ms..13ms\nc 1 11ms..14ms",
            ),
        ],
    );
}

/// The ten scores of "Streaming Systems" without event time: panes of a minute over one window for
/// all, with everything so far or only what is new.
#[test]
fn panes_of_a_minute_over_everything() {
    let scores = "299s 12:00:26 x 5 -\n339s 12:02:26 x 7 -\n373s 12:03:39 x 3 -\n399s 12:04:19 x 4 -\n\
        426s 12:03:06 x 8 -\n439s 12:06:39 x 3 -\n499s 12:01:26 x 9 -\n519s 12:07:26 x 8 -\n545s 12:07:46 x 1 -";
    for (accumulation, rows) in [
        ("accumulating", [5, 12, 19, 30, 47, 48]),
        ("discarding", [5, 7, 7, 11, 17, 1]),
    ] {
        let settings = format!(
            "window = {{ kind = \"global\" }}\naccumulation = \"{accumulation}\"\n\
             trigger = {{ kind = \"continuous-processing-time\", interval = \"1min\" }}"
        );
        let rows: String = rows.iter().map(|it| format!("\nx {it}")).collect();
        let endless = source("scores", scores).replace("records =", "bounded = false\nrecords =");
        // The run ends before the pane of 660 s.
        let text = [
            endless,
            window("panes", "scores", &settings),
            sink("out", "panes", ORDERED, &format!("key value{rows}")),
        ];
        let text = text.concat();
        holds(
            accumulation,
            &format!("strandline = 1\ntitle = \"t\"\nduration = \"650s\"\n\n[stream]\n\n{text}"),
        );
    }
}

/// What came too late is still known when the job has finished: the end of the input ends its tasks.
#[test]
fn what_was_counted_stays_when_a_job_has_finished() {
    let expect = "[[expect]]\nthat = \"job.status == FINISHED and windows.late-dropped == 2\"\n\n\
        [[expect]]\nthat = \"windows.records-in == 4 and windows.records-out == 2\"\n\n\
        [[expect]]\nthat = \"windows.subtask-0.records-in == 4 and windows.running == 0\"\n";
    check(
        "late",
        &[
            source(
                "in-order",
                "1s 1s k 1 20s\n2s 15s k 2 5s\n3s 25s k 4 -\n4s 9s k 8 -",
            ),
            window(
                "windows",
                "in-order",
                "window = { kind = \"tumbling\", size = \"10s\" }",
            ),
            sink(
                "out",
                "windows",
                ORDERED,
                "key value window\nk 1 0s..10s\nk 4 20s..30s",
            ),
            expect.to_owned(),
        ],
    );
}

/// A day of windows that begin every second: each record is in 86,400 of them.
#[test]
fn a_day_by_seconds() {
    let settings =
        "window = { kind = \"sliding\", size = \"24h\", slide = \"1s\" }\naggregate = \"count\"";
    check(
        "a day by seconds",
        &[
            source("one", "1s 1d k 1 -"),
            window("counts", "one", settings),
            "[[stream.sink]]\nname = \"out\"\ninput = \"counts\"\n\n".to_owned(),
            "[[expect]]\nthat = \"counts.records-out == 86400 and out-store.total == 86400\"\n"
                .to_owned(),
        ],
    );
}

/// A source without event time: `at value` to a line.
fn untimed(rows: &str) -> String {
    let rows = rows.lines().map(|line| {
        let (at, value) = line.trim().split_once(' ').expect("two columns");
        format!("{at} a {value}\n")
    });
    format!(
        "[[stream.source]]\nname = \"rows\"\ntime = \"none\"\nbounded = false\n\
         records = \"\"\"\nat key value\n{}\"\"\"\n\n",
        rows.collect::<String>()
    )
}

/// A timer of the wall clock fires once its millisecond is over: a record of that millisecond still
/// comes before it (`ProcessingTimeServiceUtil.getProcessingTimeDelay`).
#[test]
fn a_timer_waits_for_the_records_of_its_millisecond() {
    let by_clock =
        |settings: &str| window("w", "rows", &format!("time = \"processing\"\n{settings}"));
    let timeout = "[[stream.process]]\nname = \"w\"\ninput = \"rows\"\nfunction = \"count-with-timeout\"\n\
                   time = \"processing\"\ntimeout = \"10s\"\n\n";
    for (name, records, operator, rows) in [
        (
            "the last millisecond of a window",
            "10100ms 1\n12s 2\n19999ms 4\n20s 8",
            by_clock("window = { kind = \"tumbling\", size = \"10s\" }"),
            "a 7 19999\na 8 29999",
        ),
        (
            "the last millisecond of a session",
            "5s 1\n14999ms 2\n16s 4",
            by_clock("window = { kind = \"session\", gap = \"10s\" }"),
            "a 7 25999",
        ),
        (
            "the millisecond of a trigger",
            "5s 1\n10s 2\n15s 4",
            by_clock(
                "window = { kind = \"tumbling\", size = \"1min\" }\n\
                 trigger = { kind = \"continuous-processing-time\", interval = \"10s\" }",
            ),
            "a 3 59999\na 7 59999\na 7 59999",
        ),
        (
            "the millisecond of a timeout",
            "5s 1\n15s 2\n16s 4",
            timeout.to_owned(),
            "a 3 -",
        ),
    ] {
        let text = [
            untimed(records),
            operator,
            sink("out", "w", "", &format!("key value ts\n{rows}")),
        ];
        let text = text.concat();
        let text = format!(
            "strandline = 1\ntitle = \"{name}\"\nduration = \"40s\"\n\n[stream]\n\
             config = {{ \"execution.buffer-timeout.interval\" = \"0ms\" }}\n\n{text}"
        );
        holds(name, &text);
    }
}

/// Windows without an end ask for no timestamp, and an evictor by time lets records without one be.
#[test]
fn records_without_a_time_in_windows_without_an_end() {
    let records = "5s 1\n6s 2\n16s 4\n17s 8";
    for (name, settings, rows) in [
        (
            "count",
            "window = { kind = \"count\", count = 2 }",
            "a 3\na 12",
        ),
        (
            "global",
            "window = { kind = \"global\" }\ntrigger = { kind = \"count\", count = 2 }",
            "a 3\na 15",
        ),
        (
            "evicting",
            "window = { kind = \"global\" }\ntrigger = { kind = \"count\", count = 2 }\n\
             evictor = { time = \"2s\" }\naggregate = \"elements\"",
            "a [1,2]\na [1,2,4,8]",
        ),
    ] {
        check(
            name,
            &[
                untimed(records),
                window("w", "rows", settings),
                sink("out", "w", ORDERED, &format!("key value\n{rows}")),
            ],
        );
    }
}
