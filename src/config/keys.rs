//! Every key of `rules.toml`, in one place: what may stand there and what it does.
//!
//! The reader refuses what isn't here ([`super::reader::Table::finish`]) and, in a debug build, panics if it asked for
//! others than these; the JSON Schema is made from it. So neither can know a key that the other doesn't. The
//! settings of providers and the kinds of sources are not here: they come from their definitions.

/// The keys of one table.
#[derive(Debug)]
pub(super) struct Section {
    /// In the order in which a person would write them.
    pub(super) keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// What it does: one or two sentences, for the editor of whoever writes it.
    pub(super) doc: &'static str,
    pub(super) required: bool,
    /// The value where it is left out, as JSON or, where that is none, as text.
    pub(super) default: Option<&'static str>,
}

/// What a key's value may be.
#[derive(Debug)]
pub(super) enum Shape {
    /// `version`.
    Version,
    /// Any text.
    Text,
    /// Text that this regular expression finds something in.
    Matching(&'static str),
    /// A text, or a list of at least one.
    Texts,
    /// As [`Shape::Texts`], each matching.
    TextsMatching(&'static str),
    /// `"10s"`, `"1h30m"`.
    Duration,
    /// `"64KiB"`, or bytes as a number.
    Size,
    /// A whole number between two others, both included.
    Integer(i64, i64),
    /// True or false.
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these, also an empty one.
    ListOf(&'static Shape),
    /// A table of anything.
    Anything,
    /// A table with keys of its own.
    Table(&'static Section),
    /// A list of tables.
    Tables(&'static Section),
    /// A table of tables by name.
    Named(&'static Section),
    /// Any of these.
    Either(&'static [Shape]),
    /// The kind of a source: what else stands beside it follows from the definition.
    Kind,
    /// The provider of a destination: what else stands beside it follows from the definition.
    Provider,
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc, required: false, default: None }
}

impl Key {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }
}

/// An address to listen on; `${…}` may stand in it.
const ADDRESS: Shape = Shape::Matching(r"^(localhost|[0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$|\$\{");

/// The whole file.
pub(super) static ROOT: Section = Section {
    keys: &[
        key(
            "version",
            Shape::Version,
            "The version of this format. It stands at the top of every file.",
        )
        .required(),
        key(
            "server",
            Shape::Table(&SERVER),
            "Where to listen, and the limits of what comes in. A change needs a restart.",
        ),
        key(
            "journal",
            Shape::Table(&JOURNAL),
            "What came in and what is owed: survives a crash. A change needs a restart.",
        ),
        key(
            "sources",
            Shape::Named(&SOURCE),
            "Who may send: `[sources.NAME]` takes events in at `POST /hooks/NAME`.",
        ),
        key(
            "destinations",
            Shape::Named(&DESTINATION),
            "Where messages go: `[destinations.NAME]`, with the settings of its provider beside it.",
        ),
        key("schedules", Shape::Named(&SCHEDULE), "Times of day that rules refer to by name."),
        key(
            "rules",
            Shape::Tables(&RULE),
            "Who hears of what. All rules that match apply, in this order.",
        ),
        key(
            "tests",
            Shape::Tables(&TEST),
            "What must be sent for an event, and nothing else: `hookbell test` tries it.",
        ),
        key("reload", Shape::Table(&RELOAD), "When a new configuration is taken."),
    ],
};

pub(super) static RELOAD: Section = Section {
    keys: &[key(
        "needs_tests",
        Shape::Boolean,
        "Whether a reload of this file is refused, and the old rules stay, while one of its tests fails or can't be run.",
    )
    .default("false")],
};

/// A file of `tests/`.
pub(super) static TEST_FILE: Section =
    Section { keys: &[key("tests", Shape::Tables(&TEST), "As in rules.toml.")] };

pub(super) static SERVER: Section = Section {
    keys: &[
        key("listen", ADDRESS, "Events come in here: an IP address and a port.").default("127.0.0.1:8080"),
        key("admin", ADDRESS, "Health, metrics and the API: for you, never for the public. Off loopback it needs `admin_token`.")
            .default("127.0.0.1:9090"),
        key("admin_token", Shape::Text, "The bearer token of the admin listener, such as \"${HOOKBELL_ADMIN_TOKEN}\"."),
        key("admin_hosts", Shape::TextsMatching("^[A-Za-z0-9._-]+$"), "Names that the admin listener answers to in `Host`, beside IP addresses and localhost."),
        key("max_body", Shape::Size, "The largest body of an event.").default("1MiB"),
        key("max_head", Shape::Size, "The largest head of a request; at least 8KiB.").default("16KiB"),
        key("head_timeout", Shape::Duration, "The longest until a request's whole head is here.").default("10s"),
        key("body_timeout", Shape::Duration, "The longest from the head to the body's last byte.").default("10s"),
        key("max_connections", Shape::Integer(1, 1_000_000), "Open connections on the public listener.").default("1024"),
        key("grace", Shape::Duration, "How long finishing what is under way may take at the end.").default("10s"),
    ],
};

pub(super) static JOURNAL: Section = Section {
    keys: &[
        key("url", Shape::Matching(r"^sqlite:.|\$\{"), "The store: `sqlite:` and a file's name.")
            .default("sqlite:hookbell.db"),
        key("keep", Shape::Duration, "How long what is done is kept.").default("30d"),
    ],
};

pub(super) static SOURCE: Section = Section {
    keys: &[
        key("kind", Shape::Kind, "What kind of sender it is. `hookbell sources` lists them.").required(),
        key("secret", Shape::Texts, "The secret that it signs with, such as \"${REPLICER_SIGNING_SECRET}\". While you rotate: a list of both."),
        key("url", Shape::Text, "The URL exactly as it is entered at the sender, where the sender signs it (Twilio)."),
        key("natural_keys", Shape::Boolean, "Whether the same thing under another id (such as one call that ended) is the same event.")
            .default("true"),
    ],
};

pub(super) static DESTINATION: Section = Section {
    keys: &[
        key(
            "provider",
            Shape::Provider,
            "The service that takes the messages. `hookbell providers` lists them.",
        )
        .required(),
        key(
            "concurrency",
            Shape::Integer(1, 1_000),
            "How many attempts run at once. The provider's definition says how many where this doesn't.",
        ),
        key("timeout", Shape::Duration, "The longest that one attempt may take."),
        key(
            "retry",
            Shape::Table(&RETRY),
            "When an attempt that failed is made again, and when it is given up.",
        ),
        key(
            "rate",
            Shape::Table(&RATE),
            "The most that is sent in a time; more waits and is not lost. The provider's definition says how much where this doesn't.",
        ),
        key(
            "on_ambiguous",
            Shape::Choice(ON_AMBIGUOUS),
            "What becomes of an attempt that may have arrived: sent again, or left to a person.",
        ),
        key(
            "fallback",
            Shape::Either(&[Shape::Text, Shape::Table(&FALLBACK)]),
            "The destination that takes over what this one gave up, or what waits when this one has been failing for a while.",
        ),
    ],
};

pub(super) static RATE: Section = Section {
    keys: &[
        key("max", Shape::Integer(1, 1_000_000), "So many messages …").required(),
        key("per", Shape::Duration, "… in so long.").required(),
    ],
};

/// The words of `on_ambiguous`.
pub(super) const ON_AMBIGUOUS: &[&str] = &["retry", "park"];

pub(super) static FALLBACK: Section = Section {
    keys: &[
        key("to", Shape::Text, "The destination that takes over.").required(),
        key("after", Shape::Duration, "How long this one must have been failing.").default("10m"),
    ],
};

pub(super) static RETRY: Section = Section {
    keys: &[
        key("first", Shape::Duration, "The wait after the first attempt; it doubles from there.")
            .default("2s"),
        key("longest", Shape::Duration, "The longest wait between two attempts.").default("15m"),
        key("attempts", Shape::Integer(1, 100_000), "After so many it is given up.")
            .default("1000"),
        key("age", Shape::Duration, "After so long it is given up.").default("3d"),
    ],
};

pub(super) static SCHEDULE: Section = Section {
    keys: &[
        key(
            "hours",
            Shape::TextsMatching("^ *[0-9]{1,2}:[0-9]{2} *- *[0-9]{1,2}:[0-9]{2} *$"),
            "From when to when, such as \"20:00-08:00\".",
        )
        .required(),
        key(
            "days",
            Shape::TextsMatching("^[a-z ,-]+$"),
            "Days and ranges of days, such as \"mon-fri, sun\".",
        ),
        key("zone", Shape::Texts, "The time zone, such as \"Europe/Berlin\"."),
    ],
};

pub(super) static RULE: Section = Section {
    keys: &[
        key("name", Shape::Matching("[^ ]"), "A few words on one line, unlike those of any other rule: they stand in metrics and in the history.")
            .required(),
        key("on", Shape::TextsMatching("^[^* ]+$|^([^* ]+[.])?[*]$"), "The types of events that it looks at, such as \"call.ended\" or \"appointment.*\". Without it: all."),
        key("source", Shape::Texts, "The sources that it looks at. Without it: all."),
        key("when", Shape::Text, "The condition, over the fields of the event: 'sentiment == \"negative\" && duration > 60'. Without it: always. What is null or missing makes a comparison such as `duration > 60` unknown, and then the rule doesn't fire."),
        key("to", Shape::Texts, "The destinations that get a message.").required(),
        key("template", Shape::Text, "The words of the message: templates/NAME.hbs. Without it: a plain text with the event's fields."),
        key("stop", Shape::Boolean, "Whether rules below don't see what this one matched.").default("false"),
        key("enabled", Shape::Boolean, "Whether the rule is looked at at all.").default("true"),
        key("shadow", Shape::Boolean, "Decide and record, send nothing: to try a rule out.").default("false"),
        key("limit", Shape::Table(&LIMIT), "How many messages people want in a time."),
        key("overflow", Shape::Table(&OVERFLOW), "What happens to messages past the limit."),
        key("quiet", Shape::Table(&QUIET), "When nobody must be disturbed."),
        key("once_per", Shape::Either(&[Shape::Text, Shape::Anything]), "The field of which each value is told of once."),
    ],
};

pub(super) static LIMIT: Section = Section {
    keys: &[
        key("max", Shape::Integer(1, 1_000_000), "So many messages …").required(),
        key("per", Shape::Duration, "… in so long, …").required(),
        key("by", Shape::Texts, "… for each value of this field."),
    ],
};

pub(super) static OVERFLOW: Section = Section {
    keys: &[
        key("digest", Shape::Duration, "Gather them into one message, sent so often.").required()
    ],
};

pub(super) static QUIET: Section = Section {
    keys: &[
        key("during", Shape::Texts, "The schedules that are quiet.").required(),
        key(
            "then",
            Shape::Either(&[Shape::Choice(QUIET_THEN), Shape::Table(&THEN)]),
            "What happens to a message then.",
        ),
    ],
};

/// The words of `quiet.then`.
pub(super) const QUIET_THEN: &[&str] = &["hold", "digest", "drop"];

pub(super) static THEN: Section =
    Section { keys: &[key("to", Shape::Text, "The destination that gets it instead.").required()] };

pub(super) static TEST: Section = Section {
    keys: &[
        key("name", Shape::Matching("[^ ]"), "What must hold, in one line.").required(),
        key(
            "event",
            Shape::Either(&[Shape::Text, Shape::Anything]),
            "The event: a file, its path relative to the folder of rules.toml, or all that the sender would send as a table.",
        )
        .required(),
        key(
            "with",
            Shape::Anything,
            "Values that differ from the event's, by path, such as { \"data.duration\" = 30 }.",
        ),
        key("null", Shape::Texts, "Paths that become null, such as \"data.sentiment\"."),
        key("without", Shape::Texts, "Paths that are taken out."),
        key("at", Shape::Text, "The moment at which it comes in, such as \"2026-04-05T14:04:00Z\". Without it: the event's own time."),
        key("source", Shape::Text, "The source that it comes from; needed where there are several."),
        key(
            "expect",
            Shape::ListOf(&Shape::Either(&[Shape::Text, Shape::Table(&EXPECT)])),
            "All that is sent: [] for nothing, names of destinations, or tables such as { to = \"sales\", rule = \"won deal\", contains = \"…\" }.",
        )
        .required(),
        key(
            "unknown",
            Shape::ListOf(&Shape::Text),
            "The rules that can't be decided, all of them. Left out: it doesn't matter.",
        ),
    ],
};

/// One expectation of a test.
pub(super) static EXPECT: Section = Section {
    keys: &[
        key("to", Shape::Text, "The destination; all of its recipients are meant.").required(),
        key("rule", Shape::Text, "The rule. Without it: any."),
        key("decision", Shape::Choice(&["send", "shadow"]), "What is decided.").default("send"),
        key("text", Shape::Text, "The whole text of the message."),
        key("contains", Shape::Texts, "What stands somewhere in the text."),
        key("subject", Shape::Text, "The whole subject."),
    ],
};
