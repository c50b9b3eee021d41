//! Whether the signature of a definition makes sense.

use hyper::header::HeaderName;

use super::super::definition::BodyFormat;
use super::super::fault::Fault;
use super::super::scheme::{Keyed, SecretForm, Signature};
use super::content::{Piece, pieces};

/// Everything that is wrong with `signature`, whose bodies are written as `body`.
pub(in crate::rules::source) fn check(signature: &Signature, body: BodyFormat) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, keyed) in signature.keyed() {
        keyed_faults(name, keyed, body, &mut faults);
    }
    if let Some(token) = &signature.token {
        header(&["signature", "token", "header"], &token.header, &mut faults);
    }
    let forms: Vec<(&str, &SecretForm)> = signature
        .keyed()
        .map(|(name, keyed)| (name, &keyed.secret))
        .chain(signature.token.as_ref().map(|token| ("token", &token.secret)))
        .collect();
    if forms.iter().filter(|(_, form)| form.prefix.is_empty()).count() > 1 {
        faults.push(
            Fault::new(
                &["signature"],
                "two schemes have secrets without a `secret.prefix`: nothing says which one a secret is for",
            )
            .hint("give all but one of them a `secret = { prefix = \"…\" }`"),
        );
    }
    faults
}

fn header(at: &[&str], name: &str, faults: &mut Vec<Fault>) {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        faults.push(Fault::new(at, format!("`{name}` is no name of a header")));
    }
}

fn keyed_faults(name: &str, keyed: &Keyed, body: BodyFormat, faults: &mut Vec<Fault>) {
    let at = |key: &'static str| ["signature", name, key];
    header(&at("header"), &keyed.header, faults);
    match (name, keyed.algorithm) {
        ("hmac", None) => faults.push(
            Fault::new(&["signature", name], "an HMAC has an `algorithm`")
                .hint("write algorithm = \"sha256\" (or \"sha1\", \"sha512\")"),
        ),
        ("ed25519", Some(_)) => faults.push(
            Fault::new(&at("algorithm"), "Ed25519 has no `algorithm` to choose").hint("remove it"),
        ),
        _ => {}
    }
    if let Some(separator) = keyed.separator
        && keyed.prefix.is_empty()
    {
        let message = format!(
            "a header of several parts, separated by `{}`, needs a `prefix` that tells the signatures from the rest",
            separator.char()
        );
        faults.push(Fault::new(&at("separator"), message).hint("for example prefix = \"v1=\""));
    }
    timestamp_faults(name, keyed, faults);
    if let Some(id) = &keyed.id {
        header(&["signature", name, "id", "header"], &id.header, faults);
    }
    let pieces = match pieces(&keyed.content) {
        Ok(pieces) => pieces,
        Err(message) => return faults.push(Fault::new(&at("content"), message)),
    };
    let has = |piece: &Piece| pieces.contains(piece);
    if !has(&Piece::Body) && !has(&Piece::Form) {
        let message = "`content` has no `{body}`: the body would not be signed";
        faults.push(Fault::new(&at("content"), message));
    }
    if has(&Piece::Form) && body != BodyFormat::Form {
        let message = "`content` has a `{form}`, but the bodies are no forms";
        faults.push(Fault::new(&at("content"), message).hint("add body = \"form\" at the top"));
    }
    for (piece, word, given, key, example) in [
        (
            Piece::Timestamp,
            "{timestamp}",
            keyed.timestamp.is_some(),
            "timestamp",
            "timestamp = { header = \"X-Timestamp\" }",
        ),
        (Piece::Id, "{id}", keyed.id.is_some(), "id", "id = { header = \"X-Id\" }"),
    ] {
        if has(&piece) && !given {
            let message = format!("`content` has a `{word}`, but nothing says where that stands");
            faults.push(Fault::new(&at("content"), message).hint(format!("add {example}")));
        }
        if !has(&piece) && given {
            let message = format!("`{key}` is not signed: `content` has no `{word}`");
            faults.push(
                Fault::new(&at(key), message)
                    .hint("an unsigned header protects nothing; remove it, or say in `content` where it is signed"),
            );
        }
    }
}

fn timestamp_faults(name: &str, keyed: &Keyed, faults: &mut Vec<Fault>) {
    let Some(timestamp) = &keyed.timestamp else { return };
    let at = |key: &'static str| ["signature", name, "timestamp", key];
    match (&timestamp.header, &timestamp.item) {
        (Some(name), None) => header(&at("header"), name, faults),
        (None, Some(item)) => {
            if keyed.separator.is_none() || item.is_empty() {
                let message = "`item` is the beginning of one part of a header that has several";
                faults.push(Fault::new(&at("item"), message).hint(
                    "add separator = \",\" beside `header`, or write `header` where the time has its own",
                ));
            } else if keyed.prefix.starts_with(item.as_str()) || item.starts_with(&keyed.prefix) {
                let message = "`item` and `prefix` can't be told apart";
                faults.push(Fault::new(&at("item"), message));
            }
        }
        _ => faults.push(Fault::new(
            &["signature", name, "timestamp"],
            "the time stands in exactly one of `header` and `item`",
        )),
    }
    if timestamp.tolerance_seconds().is_none() {
        let message =
            format!("`{}` is no tolerance between a second and a day", timestamp.tolerance);
        faults.push(Fault::new(&at("tolerance"), message).hint("write \"300s\", \"5m\" or \"1h\""));
    }
}
