//! Rates, ratios, bounds and decisions worked out by hand, those of `ScalingMetricEvaluatorTest`,
//! `JobVertexScalerTest` and `AlignmentModeTest` among them, and that decisions alone do not oscillate.

use super::*;
use proptest::prelude::*;

/// The operator's defaults, but for what tests of single rules need: a lag is caught up with at no
/// time, and scale-downs do not wait.
fn settings() -> Settings {
    Settings {
        target: 700_000,
        max: None,
        min: None,
        boundary: 300_000,
        catch_up_ms: 0,
        restart_ms: 300_000,
        backlog_ms: 300_000,
        observed_lag_ms: 30_000,
        observed_switch: 150_000,
        observed_least: 2,
        min_parallelism: 1,
        max_parallelism: 200,
        scale_down: 600_000,
        scale_up: 100_000_000_000,
        scale_down_interval_ms: 0,
        blocks_ineffective: false,
        effective: 100_000,
        alignment: Alignment::Balanced,
    }
}

fn per_second(records: u64) -> Rate {
    Rate::Finite(records * 1_000)
}

/// A vertex with so many subtasks, of so many key groups, that is not partitioned by key.
fn free(parallelism: u32, max_parallelism: u32) -> Vertex {
    Vertex {
        parallelism,
        max_parallelism,
        inputs: vec![0],
        ..Vertex::default()
    }
}

/// A source and what reads from it, in a chain.
fn chain(length: usize) -> Vec<Vertex> {
    let vertex = |number: usize| Vertex {
        inputs: (number > 0).then(|| number - 1).into_iter().collect(),
        outputs: usize::from(number + 1 < length),
        ..free(1, 1)
    };
    (0..length).map(vertex).collect()
}

fn sample(at_ms: i64, vertices: &[Measured]) -> Sample {
    Sample {
        at_ms,
        vertices: vertices.to_vec(),
    }
}

fn io(records_in: u64, records_out: u64) -> Measured {
    Measured {
        records_in,
        records_out,
        ..Measured::default()
    }
}

/// A source of which a second ends with these numbers: 1,000 records wait, and 50 more than before;
/// 100 were read, and each became two.
fn lagging() -> [Sample; 2] {
    let source = |lag, read| Measured {
        lag,
        ..io(read, 2 * read)
    };
    [
        sample(1_000, &[source(950, 0), io(0, 0)]),
        sample(2_000, &[source(1_000, 100), io(200, 0)]),
    ]
}

#[test]
fn a_source_has_to_do_what_comes_and_what_waits() {
    let check = |catch_up_ms, expect: [(u64, u64); 2]| {
        let settings = Settings {
            catch_up_ms,
            ..settings()
        };
        let got = evaluate(&settings, &chain(2), &lagging());
        let got: Vec<_> = got.iter().map(|it| (it.target, it.catch_up)).collect();
        assert_eq!(got, expect, "{catch_up_ms}");
    };
    check(2_000, [(150_000, 500_000), (300_000, 1_000_000)]);
    check(1_000, [(150_000, 1_000_000), (300_000, 2_000_000)]);
    check(0, [(150_000, 0), (300_000, 0)]);
    // Whole seconds count.
    check(999, [(150_000, 0), (300_000, 0)]);
    let one = &lagging()[..1];
    assert_eq!(evaluate(&settings(), &chain(2), one), []);
}

#[test]
fn targets_follow_the_ratios_of_records_out_to_records_in() {
    let two_sources = |outputs: usize| {
        let mut graph = chain(2);
        graph.insert(1, graph[0].clone());
        graph[0].outputs = outputs;
        graph[1].outputs = outputs;
        graph[2].inputs = vec![0, 1];
        graph
    };
    let check = |graph: &[Vertex], ends: &[Measured], expect: &[u64]| {
        let zero = vec![Measured::default(); ends.len()];
        let samples = [sample(1_000, &zero), sample(2_000, ends)];
        let got = evaluate(&settings(), graph, &samples);
        let got: Vec<u64> = got.iter().map(|it| it.target / 1_000).collect();
        assert_eq!(got, expect);
    };
    // The reader says how much came to it, and the other input how much of that is its own.
    let ends = [io(100, 200), io(100, 50), io(250, 0)];
    check(&two_sources(1), &ends, &[100, 100, 250]);
    // It read nothing yet of what was sent.
    check(
        &two_sources(1),
        &[io(100, 200), io(100, 50), io(0, 0)],
        &[100, 100, 0],
    );
    // With other readers beside it, only the senders' counters are left, and the reader's is not used.
    check(
        &two_sources(2),
        &[io(100, 200), io(100, 50), io(1, 0)],
        &[100, 100, 250],
    );
    // What reads nothing sends nothing.
    check(&chain(2), &[io(0, 0), io(5, 0)], &[0, 0]);
}

#[test]
fn what_a_vertex_can_do_is_what_it_reads_over_its_busy_share() {
    let check = |each: [(u64, u32); 2], expect| {
        let of = |at: usize| Measured {
            per_second: each[at].0 * 1_000,
            busy: each[at].1,
            ..io(100, 0)
        };
        let samples = [
            sample(1_000, &[io(0, 0), of(0)]),
            sample(2_000, &[io(0, 0), of(1)]),
        ];
        let got = evaluate(&settings(), &chain(2), &samples);
        assert_eq!(got[1].true_rate, expect, "{each:?}");
    };
    check([(35, 100_000), (35, 100_000)], per_second(350));
    check([(40, 200_000), (60, 300_000)], per_second(200));
    check([(0, 100_000), (0, 100_000)], Rate::Infinite);
    check([(10, 0), (10, 0)], Rate::Infinite);
}

#[test]
fn a_source_that_catches_up_shows_what_it_can_do() {
    let seen = |milli: u64| Some(Rate::Finite(milli * 1_000));
    let check = |busy, switch, least, each: [Option<Rate>; 2], expect| {
        let settings = Settings {
            observed_switch: switch,
            observed_least: least,
            ..settings()
        };
        let of = |read, observed| Measured {
            busy,
            observed,
            ..io(read, 0)
        };
        let samples = [
            sample(1_000, &[of(0, each[0])]),
            sample(2_000, &[of(35, each[1])]),
        ];
        let got = evaluate(&settings, &chain(1), &samples);
        assert_eq!(got[0].true_rate, expect, "{busy} {switch} {least} {each:?}");
    };
    // 35 a second in a tenth of the time are 350; 300 were observed: within a fifth, not within a tenth.
    check(100_000, 200_000, 2, [seen(200), seen(400)], per_second(350));
    check(100_000, 100_000, 2, [seen(200), seen(400)], per_second(300));
    check(100_000, 100_000, 3, [seen(200), seen(400)], per_second(350));
    check(0, 100_000, 2, [seen(200), seen(400)], per_second(300));
    let none = Some(Rate::Infinite);
    check(100_000, 100_000, 2, [none, none], per_second(350));
    check(100_000, 100_000, 1, [none, seen(200)], per_second(200));
    check(100_000, 100_000, 1, [None, None], per_second(350));
}

#[test]
fn observation_needs_a_lag_and_leaves_backpressure_out() {
    let check = |rate: u64, lag, backpressured, before: &[Option<Rate>], expect| {
        let now = Measured {
            per_second: rate * 1_000,
            lag,
            backpressured,
            ..Measured::default()
        };
        assert_eq!(observed(&settings(), &now, before), expect, "{rate} {lag}");
    };
    let earlier = [Some(per_second(40)), None, Some(per_second(60))];
    check(100, 3_000, 0, &[], Some(per_second(100)));
    check(100, 3_000, 500_000, &[], Some(per_second(200)));
    check(100, 2_999, 0, &[], None);
    check(100, 2_999, 0, &earlier, Some(per_second(50)));
    check(100, 2_999, 0, &earlier[..1], None);
    check(100, 3_000, 1_000_000, &earlier, Some(per_second(50)));
    check(0, 3_000, 0, &earlier, Some(Rate::Infinite));
}

/// A source of 700 records a second, of which so many are before it at the end.
fn thresholds(settings: &Settings, lag: u64) -> (Rate, Rate) {
    let of = |read| Measured { lag, ..io(read, 0) };
    let samples = [sample(1_000, &[of(0)]), sample(2_000, &[of(700)])];
    let got = evaluate(settings, &chain(1), &samples)[0];
    (got.least, got.most)
}

#[test]
fn bounds_are_of_utilization_and_open_up_while_a_backlog_is_read() {
    let check = |catch_up_ms, lag, expect: (u64, Option<u64>)| {
        let settings = Settings {
            target: 800_000,
            max: Some(900_000),
            min: Some(700_000),
            restart_ms: 1_000,
            catch_up_ms,
            ..settings()
        };
        let most = expect.1.map_or(Rate::Infinite, per_second);
        let got = thresholds(&settings, lag);
        assert_eq!(got, (per_second(expect.0), most), "{catch_up_ms} {lag}");
    };
    check(0, 0, (778, Some(1_000)));
    check(2_000, 700, (1_128, Some(1_700)));
    check(2_000, 0, (778, Some(1_350)));
    // Five minutes of reading, and one record more.
    check(600_000, 210_000, (1_128, Some(1_351)));
    check(600_000, 210_001, (1_050, None));
}

#[test]
fn the_boundary_lies_on_both_sides_of_the_target() {
    let check = |target, boundary, expect: (u64, Option<u64>)| {
        let settings = Settings {
            target,
            boundary,
            ..settings()
        };
        let most = expect.1.map_or(Rate::Infinite, per_second);
        let got = thresholds(&settings, 0);
        assert_eq!(got, (per_second(expect.0), most), "{target} {boundary}");
    };
    check(700_000, 300_000, (700, Some(1_750)));
    check(700_000, 0, (1_000, Some(1_000)));
    // More than always busy is not asked, and less than never.
    check(800_000, 800_000, (700, None));
}

/// What a vertex is told that has to do the one rate and can do the other.
fn metrics(settings: &Settings, target: u64, can: u64) -> Evaluated {
    let of = |read: u64, lag| Measured {
        busy: 100_000,
        lag,
        ..io(read, 0)
    };
    // What it reads in a second, by a tenth of its time; the rest of the target is left lying.
    let read = can / 10;
    let (before, after) = match target.checked_sub(read) {
        Some(more) => (0, more),
        None => (read - target, 0),
    };
    let samples = [
        sample(0, &[of(0, before)]),
        sample(1_000, &[of(read, after)]),
    ];
    let got = evaluate(settings, &chain(1), &samples)[0];
    assert_eq!(
        (got.target, got.true_rate),
        (target * 1_000, per_second(read * 10))
    );
    got
}

fn decided(
    settings: &Settings,
    vertex: &Vertex,
    (target, can): (u64, u64),
    memory: &mut Memory,
    now_ms: i64,
) -> Option<Decision> {
    let metrics = metrics(settings, target, can);
    let memory = std::slice::from_mut(memory);
    let got = decide(
        settings,
        std::slice::from_ref(vertex),
        &[metrics],
        memory,
        now_ms,
    );
    got.first().copied()
}

#[test]
fn parallelism_follows_the_rate_that_is_needed() {
    let check = |utilization: u32, parallelism, rates: (u64, u64), expect: Option<u32>| {
        let settings = Settings {
            target: utilization,
            // As a band of nothing, so that each number shows.
            boundary: 0,
            ..settings()
        };
        let mut memory = Memory::default();
        let got = decided(&settings, &free(parallelism, 720), rates, &mut memory, 0);
        assert_eq!(
            got.map(|it| it.to),
            expect,
            "{utilization} {parallelism} {rates:?}"
        );
    };
    check(1_000_000, 10, (50, 100), Some(5));
    check(800_000, 10, (50, 100), Some(7));
    check(800_000, 10, (80, 100), None);
    check(800_000, 10, (60, 100), Some(8));
    check(800_000, 10, (59, 100), Some(8));
    check(500_000, 2, (100, 40), Some(10));
    check(600_000, 2, (100, 100), Some(4));
    // Not to less than two fifths in one step.
    check(1_000_000, 10, (10, 100), Some(4));
    check(1_000_000, 1, (0, 100), None);
}

#[test]
fn nothing_is_done_within_the_bounds_and_all_is_set_right_outside_of_them() {
    let settings = settings();
    let check = |rates: &[(u64, u64)], expect: &[(usize, u32)]| {
        let graph = vec![free(10, 720); rates.len()];
        let each = rates.iter().map(|it| metrics(&settings, it.0, it.1));
        let each: Vec<Evaluated> = each.collect();
        let mut memory = vec![Memory::default(); rates.len()];
        let got = decide(&settings, &graph, &each, &mut memory, 0);
        let got: Vec<_> = got.iter().map(|it| (it.vertex, it.to)).collect();
        assert_eq!(got, expect, "{rates:?}");
    };
    // Between 40 and 100 % of its time a vertex may work.
    check(&[(50, 100)], &[]);
    check(&[(100, 100)], &[]);
    check(&[(39, 100)], &[(0, 6)]);
    check(&[(101, 100)], &[(0, 15)]);
    check(&[(50, 100), (101, 100)], &[(0, 8), (1, 15)]);
    check(&[(70, 100), (101, 100)], &[(1, 15)]);
}

#[test]
fn parallelism_stays_within_factors_and_limits() {
    let check = |change: fn(&mut Settings), vertex: Vertex, rates: (u64, u64), expect: u32| {
        let mut settings = Settings {
            target: 1_000_000,
            boundary: 0,
            ..settings()
        };
        change(&mut settings);
        let mut memory = Memory::default();
        let got = decided(&settings, &vertex, rates, &mut memory, 0);
        let got = got.map_or(vertex.parallelism, |it| it.to);
        assert_eq!(got, expect, "{vertex:?} {rates:?}");
    };
    check(|it| it.scale_down = 500_000, free(10, 720), (10, 100), 5);
    check(|it| it.scale_down = 1_000_000, free(10, 720), (10, 100), 1);
    check(|it| it.scale_up = 500_000, free(10, 720), (200, 10), 15);
    check(|it| it.scale_up = 600_000, free(10, 720), (200, 10), 16);
    check(|_| (), free(10, 720), (2_000, 10), 200);
    check(|_| (), free(10, 128), (2_000, 10), 128);
    check(|it| it.max_parallelism = 20, free(10, 720), (2_000, 10), 20);
    // Limits that the job is beyond already do not push it.
    check(|it| it.max_parallelism = 5, free(10, 720), (2_000, 10), 10);
    check(|it| it.min_parallelism = 8, free(10, 720), (10, 100), 8);
    check(|it| it.min_parallelism = 15, free(10, 720), (10, 100), 10);
}

#[test]
fn computed_parallelism_is_fitted_to_key_groups_and_partitions() {
    let check = |(current, target): (u32, u64), many: (u32, u32), limits: (u32, u32), expect| {
        let fitted = |alignment| {
            let settings = Settings {
                target: 1_000_000,
                boundary: 0,
                scale_down: 1_000_000,
                min_parallelism: limits.0,
                max_parallelism: limits.1,
                alignment,
                ..settings()
            };
            let vertex = Vertex {
                partitions: many.0,
                keyed: many.0 == 0,
                ..free(current, many.1)
            };
            // As many records to be done per second as subtasks are wanted, times a hundred.
            let rates = (target * 100, u64::from(current) * 100);
            let got = decided(&settings, &vertex, rates, &mut Memory::default(), 0);
            got.map_or(current, |it| it.to)
        };
        let all = [Alignment::Balanced, Alignment::EvenlySpread, Alignment::Off];
        assert_eq!(all.map(fitted), expect, "{current} → {target} of {many:?}");
    };
    // 128 / 26 is less than 128 / 24.
    check((16, 24), (0, 128), (1, 10_000), [26, 32, 24]);
    check((6, 5), (0, 36), (1, 10_000), [6, 6, 5]);
    // Nothing fits within the limits, or between the target and what there is: it stays.
    check((22, 25), (35, 128), (20, 30), [25, 25, 25]);
    check((5, 7), (12, 8), (1, 10_000), [7, 7, 7]);
    check((4, 7), (4, 128), (1, 10_000), [7, 7, 7]);
    check((8, 5), (12, 128), (1, 10_000), [6, 6, 5]);
}

#[test]
fn a_scale_down_waits_and_takes_the_most_that_was_wanted() {
    let check = |each: &[(i64, u64, Option<u32>)]| {
        let settings = Settings {
            target: 1_000_000,
            boundary: 0,
            scale_down_interval_ms: 60_000,
            ..settings()
        };
        let mut memory = Memory::default();
        for (seconds, target, expect) in each {
            let rates = (*target, 1_000);
            let at = seconds * 1_000;
            let got = decided(&settings, &free(100, 720), rates, &mut memory, at);
            assert_eq!(got.map(|it| it.to), *expect, "{seconds} s of {each:?}");
        }
    };
    check(&[
        (0, 800, None),
        (10, 900, None),
        (40, 720, None),
        (59, 640, None),
        (60, 700, Some(90)),
    ]);
    check(&[(0, 500, None), (30, 600, None), (65, 600, Some(60))]);
    // What was wanted before the interval is forgotten.
    check(&[(0, 900, None), (5, 500, None), (62, 400, Some(50))]);
    // A scale-up does not wait; neither it nor what is right as it is leaves anything waiting.
    check(&[(0, 800, None), (12, 1_700, Some(170)), (61, 800, None)]);
    check(&[
        (0, 800, None),
        (12, 1_000, None),
        (61, 800, None),
        (121, 700, Some(80)),
    ]);
}

#[test]
fn a_scale_up_that_brought_nothing_is_not_followed_by_another() {
    let run = |blocks_ineffective, rates: (u64, u64), parallelism| {
        let settings = Settings {
            target: 1_000_000,
            boundary: 0,
            blocks_ineffective,
            ..settings()
        };
        let mut memory = Memory::default();
        let first = decided(&settings, &free(10, 720), (180, 90), &mut memory, 0);
        assert_eq!(first.map(|it| it.rates.1), Some(per_second(180)));
        done(
            std::slice::from_mut(&mut memory),
            &first.into_iter().collect::<Vec<_>>(),
        );
        let got = decided(
            &settings,
            &free(parallelism, 720),
            rates,
            &mut memory,
            1_000,
        );
        got.map(|it| it.to)
    };
    let check = |blocks, rates, parallelism, expect| {
        assert_eq!(run(blocks, rates, parallelism), expect, "{rates:?}");
    };
    // 90 more were expected: nothing came of it, or a ninth.
    check(true, (180, 90), 20, None);
    check(true, (180, 80), 20, None);
    check(true, (180, 100), 20, Some(36));
    check(false, (180, 90), 20, Some(40));
    // Somebody else has set this parallelism.
    check(true, (180, 90), 10, Some(20));
    // What is too much goes in any case.
    check(true, (45, 90), 20, Some(10));
}

/// A loop of the rules alone: a job without lag that is told what they decide settles at once.
fn settles(rate: u64, each: u64, start: u32) -> Vec<u32> {
    let settings = Settings {
        catch_up_ms: 1_800_000,
        ..settings()
    };
    let mut parallelism = start;
    let mut seen = vec![start];
    for _ in 0..8 {
        let can = each * u64::from(parallelism) / 10 * 10;
        let mut memory = Memory::default();
        match decided(
            &settings,
            &free(parallelism, 200),
            (rate, can),
            &mut memory,
            0,
        ) {
            Some(it) => parallelism = it.to,
            None => return seen,
        }
        seen.push(parallelism);
    }
    seen
}

proptest! {
    /// Where load is even and restarts cost nothing, no two decisions contradict each other.
    #[test]
    fn without_lag_there_is_no_oscillation(rate in 10_u64..2_000, each in 2_u64..20, start in 1_u32..150) {
        let seen = settles(rate, each * 10, start);
        let up = seen.windows(2).any(|it| it[0] < it[1]);
        let down = seen.windows(2).any(|it| it[0] > it[1]);
        prop_assert!(!(up && down), "{seen:?}");
        prop_assert!(seen.len() <= 7, "{seen:?}");
    }

    /// Whatever is measured, what is decided is a change, and one that the vertex can be given.
    #[test]
    fn decisions_can_be_carried_out(
        target in 0_u64..10_000, can in 1_u64..1_000, parallelism in 1_u32..300,
        groups in 1_u32..300, keyed: bool, utilization in 0_u32..=1_000_000,
    ) {
        let settings = Settings { target: utilization, ..settings() };
        let parallelism = parallelism.min(groups);
        let vertex = Vertex { keyed, ..free(parallelism, groups) };
        let got = decided(&settings, &vertex, (target, can * 10), &mut Memory::default(), 0);
        if let Some(it) = got {
            prop_assert!(it.to != it.from && (1..=groups).contains(&it.to), "{it:?}");
        }
    }
}
