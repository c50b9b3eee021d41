//! The sample events in the binary: what `demo`, `emit` and `send` use where no file is given.

use uuid::Uuid;

/// The sample's id and `callId` as they stand in [`DOCUMENTED`].
const DOCUMENTED_IDS: [&str; 2] = ["evt-delivery-uuid", "clx-call-001"];

/// The kind of source that sends events of this shape.
pub(crate) const KIND: &str = "replicer";

/// The event of Replicer's documentation, byte for byte.
pub(crate) const DOCUMENTED: &str = include_str!("../../tests/events/call.ended.json");

/// One sample: what it is about, and its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// A few words for people.
    pub(crate) title: &'static str,
    /// The event.
    pub(crate) text: &'static str,
}

/// A call of each kind that the shipped rules know.
pub(crate) const CALLS: [Sample; 3] = [
    Sample { title: "a call that went well, as Replicer documents it", text: DOCUMENTED },
    Sample {
        title: "an unhappy customer",
        text: include_str!("../../tests/events/call.ended.unhappy.json"),
    },
    Sample {
        title: "a call that failed: most fields are null",
        text: include_str!("../../tests/events/call.ended.failed.json"),
    },
];

/// Letters and digits that are others each time.
pub(crate) fn unique() -> String {
    Uuid::from_u128(fastrand::u128(..)).simple().to_string()
}

/// The documented event with an id and a `callId` of its own, so that it is no duplicate of anything.
pub(crate) fn fresh() -> String {
    let unique = unique();
    let [id, call] = DOCUMENTED_IDS;
    DOCUMENTED.replace(id, &format!("evt-{unique}")).replace(call, &format!("clx-{unique}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_samples_are_what_they_say() {
        let calls: Vec<_> = CALLS.iter().map(|c| parsed(c.text)).collect();
        for call in &calls {
            assert_eq!(call["event"], "call.ended");
        }
        assert_eq!(calls[1]["data"]["sentiment"], "negative");
        assert!(calls[1]["data"]["duration"].as_i64().unwrap() > 60);
        assert_eq!(calls[2]["data"]["status"], "failed");
        assert!(calls[2]["data"]["callSuccessful"].is_null());
        let fields = |v: &serde_json::Value| {
            v["data"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(fields(&calls[0]), fields(&calls[1]));
        assert_eq!(fields(&calls[0]), fields(&calls[2]));
    }

    #[test]
    fn a_fresh_event_differs_in_its_ids_only() {
        let (a, b) = (parsed(&fresh()), parsed(&fresh()));
        assert_ne!(a["id"], b["id"]);
        assert_ne!(a["data"]["callId"], b["data"]["callId"]);
        let mut same = a.clone();
        same["id"] = DOCUMENTED_IDS[0].into();
        same["data"]["callId"] = DOCUMENTED_IDS[1].into();
        assert_eq!(same, parsed(DOCUMENTED));
    }
}
