//! What the `[stream]` section says of windows: assigners, triggers, evictors and their words.

use super::items::Millis;
use crate::scenario::{choice, document};

document! {
    /// Which windows there are.
    pub(crate) struct RawAssigner {
        "kind" => kind: AssignerKind, required, "The assigner.";
        "size" => size: Millis, optional, "With tumbling, sliding and cumulate: length of a window.";
        "slide" => slide: Millis, optional, "With sliding: a window begins this often.";
        "step" => step: Millis, optional, "With cumulate: by how much windows grow.";
        "gap" => gap: Millis, optional, "With session: silence that ends a session.";
        "offset" => offset: Millis, optional, "With tumbling, sliding and cumulate: windows begin this long after multiples of their size (default 0s).";
        "count" => count: u64, optional, "With count: so many records make a window.";
        "every" => every: u64, optional, "With count: the window speaks at every so many records and slides (countWindow(count, every)).";
    }
}

choice! {
    /// An assigner.
    pub(crate) enum AssignerKind {
        "tumbling" => Tumbling, "Windows of one size, one after the other.";
        "sliding" => Sliding, "Windows of one size that begin every slide.";
        "cumulate" => Cumulate, "Windows that grow by steps up to a size, then begin anew.";
        "session" => Session, "Records that are less than a gap apart.";
        "global" => Global, "One window for all.";
        "count" => Count, "So many records of a key (countWindow).";
    }
}

choice! {
    /// A clock.
    pub(crate) enum ClockWord {
        "event" => Event, "The watermark.";
        "processing" => Processing, "The wall clock.";
    }
}

document! {
    /// When a window speaks.
    pub(crate) struct RawTrigger {
        "kind" => kind: TriggerKind, required, "The trigger.";
        "early" => early: RawFirings, optional, "With event-time: when the window also speaks before its end (withEarlyFirings).";
        "late" => late: RawFirings, optional, "With event-time: when it speaks after its end (withLateFirings; default at each late record).";
        "count" => count: i64, optional, "With count: at every so many records.";
        "interval" => interval: Millis, optional, "With the continuous ones: at each multiple of this.";
        "threshold" => threshold: i64, optional, "With delta: when a value is more than this above the one at the last firing.";
        "timeout" => timeout: Millis, optional, "It also speaks when this much processing time has passed (ProcessingTimeoutTrigger).";
        "timeout-reset" => reset: bool, optional, "Whether each record begins the timeout anew (default false).";
        "timeout-clear" => clear: bool, optional, "Whether a timeout forgets what the trigger knows (default true).";
    }
}

choice! {
    /// A trigger.
    pub(crate) enum TriggerKind {
        "event-time" => EventTime, "When the watermark passes the end of the window, and at each late record.";
        "processing-time" => ProcessingTime, "When the wall clock passes the end of the window.";
        "count" => Count, "At every so many records.";
        "continuous-event-time" => ContinuousEventTime, "At each multiple of an interval in event time, and at the end.";
        "continuous-processing-time" => ContinuousProcessingTime, "At each multiple of an interval in processing time.";
        "delta" => Delta, "When a value is more than a threshold above the one at the last firing.";
        "end-of-stream" => EndOfStream, "At the end of the input.";
        "never" => Never, "Never.";
    }
}

document! {
    /// When a window speaks before its end, or after it; exactly one of count, delay and every.
    pub(crate) struct RawFirings {
        "count" => count: i64, optional, "At every so many records.";
        "delay" => delay: Millis, optional, "So long (processing time) after the first record since it spoke last (AfterProcessingTime.pastFirstElementInPane).";
        "every" => every: Millis, optional, "So long (processing time) after the first record, and again and again (ProcessingTimeTriggers.every).";
        "aligned" => aligned: bool, optional, "With delay and every: at the next multiple of the time instead (default false).";
    }
}

choice! {
    /// What a window keeps when it has spoken.
    pub(crate) enum Accumulation {
        "accumulating" => Accumulating, "Everything: later results include earlier ones.";
        "discarding" => Discarding, "Nothing (PurgingTrigger): each result has only what is new.";
        "retracting" => Retracting, "Everything, and each result takes back the one before it (-U, +U).";
    }
}

document! {
    /// What leaves a window when it speaks; exactly one of count, time and delta.
    pub(crate) struct RawEvictor {
        "count" => count: u64, optional, "All but the last so many.";
        "time" => time: Millis, optional, "Those this much older than the newest, or more.";
        "delta" => delta: i64, optional, "Those whose value is this far from the last one's, or more.";
        "after" => after: bool, optional, "Whether they leave after the window has spoken (default false: before).";
    }
}

choice! {
    /// What becomes of records that are too late for all their windows.
    pub(crate) enum LateWord {
        "drop" => Drop, "They are counted and dropped.";
        "side-output" => SideOutput, "They are put out as NAME.late (sideOutputLateData).";
    }
}

choice! {
    /// What a window says of its records.
    pub(crate) enum AggregateWord {
        "sum" => Sum, "The sum of their values.";
        "count" => Count, "How many there are.";
        "min" => Min, "The least value.";
        "max" => Max, "The greatest value.";
        "average" => Average, "The mean of their values, cut to a whole number; sum and count are kept.";
        "elements" => Elements, "All values, in the order of their arrival (ProcessWindowFunction).";
    }
}
