//! What is signed: a template whose pieces are the request's.

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// The raw bytes.
    Body,
    /// The form's sorted names and values.
    Form,
    /// The signed time, as it was written.
    Timestamp,
    /// The signed id.
    Id,
    /// The public URL of the source, as `rules.toml` has it.
    Url,
}

/// The names of the pieces, for messages.
const KNOWN: &str = "`{body}`, `{form}`, `{timestamp}`, `{id}` and `{url}`";

/// Splits a template at its `{…}`.
pub(super) fn pieces(content: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = content;
    while let Some(open) = rest.find('{') {
        let close = rest[open..]
            .find('}')
            .map(|at| open + at)
            .ok_or_else(|| "`content` has a `{` without its `}`".to_owned())?;
        if open > 0 {
            pieces.push(Piece::Text(rest[..open].to_owned()));
        }
        pieces.push(match &rest[open..=close] {
            "{body}" => Piece::Body,
            "{form}" => Piece::Form,
            "{timestamp}" => Piece::Timestamp,
            "{id}" => Piece::Id,
            "{url}" => Piece::Url,
            other => return Err(format!("`{other}` is not known in `content`: it takes {KNOWN}")),
        });
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}
